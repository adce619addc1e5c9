// Azure's dated API, as its SDKs still write it: the path names the model, which is a deployment there, and the query a
// version. It is the same call of the v1 API, which needs neither:
//
//   /deployments/{deployment}/chat/completions?api-version=2024-10-21 -> /v1/chat/completions, the deployment as `model`
//
// https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle Pure.

import type { Asked, Operation } from '../dialect.ts'

/** The name of a deployment. */
const DEPLOYMENT = ':deployment{[\\w.-]+}'

/**
 * The dated path of an operation of the v1 API.
 *
 * @param version what its own path begins with
 */
export function atDatedPath(operation: Operation, version: string): Operation {
  const { name, path: target, readBound, edits, filter, meter } = operation
  const path = target.slice(version.length)
  // Here the body names the deployment in the dated API as well.
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
