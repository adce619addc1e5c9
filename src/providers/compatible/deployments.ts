// Azure's dated API, which its SDKs still speak: the path names the model, called a deployment there, and the query names a
// version. Each call becomes the same call of the v1 API, which needs neither:
//
//   /deployments/{deployment}/chat/completions?api-version=2024-10-21 -> /v1/chat/completions, the deployment as `model`
//
// https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle Pure.

import type { Asked, Operation } from '../dialect.ts'

/** The path segment that is a deployment's name. */
const DEPLOYMENT = ':deployment{[\\w.-]+}'

/**
 * The dated path of an operation of the v1 API.
 *
 * @param version what its own path begins with
 */
export function atDatedPath(operation: Operation, version: string): Operation {
  const { name, path: target, readBound, edits, filter, meter } = operation
  const path = target.slice(version.length)
  // The dated API, too, takes the deployment of a response from the body.
  if (name === 'responses') return { ...operation, path, target }
  return {
    ...operation,
    path: `/deployments/${DEPLOYMENT}${path}`,
    target,
    readBound: readBound && ((asked) => readBound(withModel(asked))),
    edits(asked, granted_output_tokens) {
      const model = deploymentOf(asked)
      const others = edits?.(withModel(asked), granted_output_tokens) ?? []
      return asked.body.model === model ? others : [{ field: 'model', value: model }, ...others]
    },
    filter: (asked) => filter?.(withModel(asked)) ?? null,
    meter: (asked) => meter(withModel(asked)),
  }
}

const deploymentOf = ({ params }: Asked): string => params.deployment ?? ''

/** The deployment decides what answers, whatever the body says. */
function withModel(asked: Asked): Asked {
  return { ...asked, body: { ...asked.body, model: deploymentOf(asked) } }
}
