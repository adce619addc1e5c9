// What an earlier `npm start` made and a later one goes on with: the secrets and the demo user.

import { relative } from 'node:path'
import { isObject, parseJsonOrUndefined } from '../providers/answer.ts'
import { createDemoUser, type DemoUser, isUsable } from './demo-user.ts'
import { type LocalSecrets, makeSecrets } from './dev-vars.ts'
import { readIfThere, writePrivate } from './private-files.ts'
import { StartFault } from './start-fault.ts'

/** @throws {StartFault} where they are damaged: replacing them would silently invalidate every key made here. */
export async function keepSecrets(file: string): Promise<LocalSecrets> {
  const text = await readIfThere(file)
  if (text === null) return written(file, makeSecrets())
  const kept = parseJsonOrUndefined(text)
  if (hasTexts(kept, ['KEY_SIGNING_SECRETS', 'ADMIN_TOKEN'])) return kept
  const name = relative(process.cwd(), file)
  throw new StartFault(
    `${name} is damaged. Put a copy of it back, or delete it: then new secrets are made, and no key made so far works.`,
  )
}

/** The demo user of the file, or a new one where the file is damaged or its user no longer works. */
export async function keepDemoUser(file: string, url: string, adminToken: string): Promise<DemoUser> {
  const kept = parseJsonOrUndefined((await readIfThere(file)) ?? '')
  if (hasTexts(kept, ['user_id', 'key']) && (await isUsable(url, adminToken, kept))) return kept
  return written(file, await createDemoUser(url, adminToken))
}

async function written<T>(file: string, made: T): Promise<T> {
  await writePrivate(file, JSON.stringify(made))
  return made
}

function hasTexts<Name extends string>(value: unknown, names: Name[]): value is Record<Name, string> {
  return isObject(value) && names.every((name) => typeof value[name] === 'string' && value[name] !== '')
}
