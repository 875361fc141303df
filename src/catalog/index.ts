/** Finds the secret fields of an entity: what other folders use of this one. */
export { loadCatalogue, parseCatalogue, shippedCatalogue, type Catalogue } from './catalogue.js';
export {
  compileCatalogue,
  type CatalogueOptions,
  type CompiledCatalogue,
  type FindTarget,
} from './compile.js';
export { createFieldFinder, type FieldFinder, type FoundField, type FoundFields } from './field-finder.js';
export { formatPointer, parsePointer, readAt, withValues, type JsonPath } from './json-path.js';
