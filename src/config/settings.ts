import { z } from 'zod';
import { KAFKA_SETTINGS, TOPIC_SETTINGS } from './settings-kafka.js';
import { AWS_SETTINGS, DATABASE_SETTINGS, KEY_SETTINGS, STORE_SETTINGS } from './settings-keys-and-stores.js';
import { RULE_SETTINGS, SIGHT_SETTINGS, WORK_SETTINGS } from './settings-work.js';

/** Every environment variable that this program reads, in the order of docs/configuration.md. */
export const settingsSchema = z.object({
  ...KEY_SETTINGS,
  ...STORE_SETTINGS,
  ...AWS_SETTINGS,
  ...DATABASE_SETTINGS,
  ...KAFKA_SETTINGS,
  ...TOPIC_SETTINGS,
  ...RULE_SETTINGS,
  ...WORK_SETTINGS,
  ...SIGHT_SETTINGS,
});

export type SettingName = keyof typeof settingsSchema.shape;
export type SettingValues = z.output<typeof settingsSchema>;
export const SETTING_NAMES = Object.keys(settingsSchema.shape) as SettingName[];
