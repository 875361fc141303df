/** Which fields of an entity are secret: what other folders use of this one. */
export { loadCatalogue, parseCatalogue, shippedCatalogue } from './catalogue.js';
export type { Catalogue } from './catalogue.js';
export { compileCatalogue } from './compile.js';
export type { CatalogueOptions, CompiledCatalogue } from './compile.js';
export { createFieldFinder, MAX_ENTITY_DEPTH } from './field-finder.js';
export type { FieldFinder, FindTarget, FoundField, FoundFields } from './field-finder.js';
export { formatPointer, parsePointer } from './json-path.js';
export { readAt, withValues } from './json-path.js';
export type { JsonPath } from './json-path.js';
