// The script before `npm start`, the tests and the bench, in a folder of its own, with an `npm` that only says how it was called.

import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

const SCRIPT = resolve(import.meta.dirname, '../../../src/local/ensure-installed.cjs')
const INSTALLS = 'Installing (npm ci) ...\nnpm ci --no-audit --no-fund --loglevel=error\n'
const A = { version: '1.0.0', integrity: 'sha512-a' }
const LOCK = {
  '': { name: 'project' },
  'node_modules/a': A,
  'node_modules/a/node_modules/b': { version: '2.0.0', integrity: 'sha512-b' },
  'node_modules/only-for-windows': { version: '3.0.0', integrity: 'sha512-w', optional: true },
}
const { '': _, 'node_modules/only-for-windows': __, ...INSTALLED } = LOCK

let folder: string
let bin: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-installed-'))
  bin = join(folder, 'bin')
  await mkdir(bin)
  await npmThat('exit 0')
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(async () => {
  await rm(join(folder, 'node_modules'), { recursive: true, force: true })
  await write('package-lock.json', { packages: LOCK })
  await write('node_modules/.package-lock.json', { packages: INSTALLED })
  await write('node_modules/a/package.json', {})
  await write('node_modules/a/node_modules/b/package.json', {})
})

async function npmThat(ends: string): Promise<void> {
  await writeFile(join(bin, 'npm'), `#!/bin/sh\necho "npm $*"\n${ends}\n`)
  await chmod(join(bin, 'npm'), 0o755)
}
async function write(file: string, content: unknown): Promise<void> {
  await mkdir(dirname(join(folder, file)), { recursive: true })
  await writeFile(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content))
}
const remove = (file: string) => rm(join(folder, file), { recursive: true })
function ensureInstalled(path = bin, { cwd = folder, root = '' } = {}): Promise<{ code: unknown; output: string }> {
  const options = { cwd, env: { PATH: `${path}:/usr/bin:/bin`, npm_config_local_prefix: root } }
  return new Promise((done) =>
    execFile(process.execPath, [SCRIPT], options, (error, stdout, stderr) =>
      done({ code: error ? error.code : 0, output: stdout + stderr }),
    ),
  )
}

it.each(['start', 'test', 'test:matrix', 'test:chaos', 'test:fuzz', 'bench'])(
  'on a fresh clone npm run %s is one command: it installs first',
  async (name) => {
    const { scripts } = JSON.parse(await readFile('package.json', 'utf8'))
    expect(scripts[`pre${name}`]).toBe('node src/local/ensure-installed.cjs')
  },
)

describe.skipIf(process.platform === 'win32')('before npm start, the tests and the bench', () => {
  it('says and does nothing where everything is installed', async () => {
    expect(await ensureInstalled()).toEqual({ code: 0, output: '' })
  })

  it.each<[string, () => Promise<void>]>([
    ['node_modules is missing', () => remove('node_modules')],
    ['node_modules is empty', () => remove('node_modules').then(() => mkdir(join(folder, 'node_modules')))],
    ['an install was interrupted', () => remove('node_modules/.package-lock.json')],
    ['npm’s record is cut off', () => write('node_modules/.package-lock.json', '{"packages":{')],
    ['a package is gone', () => remove('node_modules/a/node_modules/b')],
    ['a package is new', () => write('package-lock.json', { packages: { ...LOCK, 'node_modules/new': A } })],
    [
      'a package has another version',
      () => write('package-lock.json', { packages: { ...LOCK, 'node_modules/a': { ...A, version: '1.0.1' } } }),
    ],
  ])('says that it installs, and does, where %s', async (_name, happens) => {
    await happens()
    expect(await ensureInstalled()).toEqual({ code: 0, output: INSTALLS })
  })

  it('takes what npm has installed for the project of which this is a workspace, and installs where that lacks something', async () => {
    const workspace = { 'apps/here': { version: '0.1.0' } }
    await write('apps/here/package.json', {})
    await write('apps/here/package-lock.json', { packages: { '': {}, 'node_modules/of-its-own': A } })
    await write('package-lock.json', { packages: { ...LOCK, ...workspace } })
    await write('node_modules/.package-lock.json', { packages: { ...INSTALLED, ...workspace } })
    const here = { cwd: join(folder, 'apps/here'), root: folder }
    expect(await ensureInstalled(bin, here)).toEqual({ code: 0, output: '' })
    await remove('node_modules/a')
    expect(await ensureInstalled(bin, here)).toEqual({ code: 0, output: INSTALLS })
  })

  it('asks for its own packages where npm was started for another project around it', async () => {
    await write('apps/other/package-lock.json', { packages: LOCK })
    const other = { cwd: join(folder, 'apps/other'), root: folder }
    expect(await ensureInstalled(bin, other)).toEqual({ code: 0, output: INSTALLS })
  })

  it('fails where the install fails', async () => {
    await remove('node_modules')
    await npmThat('exit 7')
    expect(await ensureInstalled()).toEqual({ code: 7, output: INSTALLS })
    await npmThat('exit 0')
  })

  it('does not install with what is about to be replaced', async () => {
    await write('node_modules/.bin/npm', '#!/bin/sh\necho wrong npm\n')
    await chmod(join(folder, 'node_modules/.bin/npm'), 0o755)
    await remove('node_modules/a')
    expect(await ensureInstalled(`${folder}/node_modules/.bin:${bin}`)).toEqual({ code: 0, output: INSTALLS })
  })
})
