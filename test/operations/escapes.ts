// Routes of the providers that are paid for, show what others have, or lead to what is: none of them is in the table of
// operations, so none of them may be reached. Data.

type Escape = [method: string, path: string]

const all = (method: string, paths: string): Escape[] =>
  paths
    .trim()
    .split(/\s+/)
    .map((path) => [method, path])

/** Of a compatible provider: what OpenAI has and it has not. */
export const COMPATIBLE_ESCAPES: Escape[] = [
  ...all('GET', '/v1/files /v1/batches /v1/responses/resp_1 /v1/realtime /v1/fine_tuning/jobs /v1/models/a/b'),
  ...all(
    'POST',
    `/v1/moderations /v1/images/generations /v1/audio/speech /v1/audio/transcriptions /v1/files /v1/batches
    /v1/responses/resp_1/cancel /v1/responses/input_tokens /v1/fine_tuning/jobs /v1/rerank /v1/ocr /v1/agents/completions
    /v1/fim/completions /chat/completions /v1/v1/chat/completions /v2/chat/completions /v1/completions/ /v1/chat`,
  ),
  ...all('DELETE', '/v1/responses/resp_1 /v1/models/m'),
]

export const ESCAPES: Record<string, Escape[]> = {
  openai: [
    ...all(
      'GET',
      `/v1/realtime?model=gpt-realtime /v1/realtime/calls /v1/fine_tuning/jobs /v1/fine_tuning/jobs/ft_1/events /v1/assistants
      /v1/threads/t_1 /v1/threads/t_1/messages /v1/threads/t_1/runs/r_1 /v1/vector_stores /v1/vector_stores/vs_1/files
      /v1/files /v1/batches /v1/responses /v1/conversations/c_1 /v1/conversations/c_1/items /v1/chat/completions
      /v1/chat/completions/c_1 /v1/containers /v1/containers/c_1/files/f_1/content /v1/evals /v1/videos /v1/videos/v_1/content
      /v1/organization/costs /v1/organization/usage/completions /v1/organization/admin_api_keys /v1/dashboard/billing/usage
      /v1/models/a/b /v1/skills /`,
    ),
    ...all(
      'POST',
      `/v1/realtime /v1/realtime/sessions /v1/realtime/client_secrets /v1/realtime/calls /v1/fine_tuning/jobs
      /v1/fine_tuning/jobs/ft_1/cancel /v1/assistants /v1/threads /v1/threads/runs /v1/threads/t_1/runs /v1/vector_stores
      /v1/vector_stores/vs_1/search /v1/vector_stores/vs_1/file_batches /v1/conversations /v1/conversations/c_1/items
      /v1/chat/completions/c_1 /v1/chatkit/sessions /v1/containers /v1/containers/c_1/files /v1/evals /v1/evals/e_1/runs
      /v1/videos /v1/videos/v_1/remix /v1/uploads /v1/uploads/u_1/parts /v1/uploads/u_1/complete /v1/engines/davinci/completions
      /v1/edits /v1/responses/compact /v1/responses/resp_1 /v1/audio/voices /v1/organization/projects
      /v1/organization/admin_api_keys /v1/files/f_1 /v1/batches/b_1 /v1/embeddings/ /V1/embeddings /v1//embeddings
      /v1/Embeddings /chat/completions /v2/responses /v1/responses/resp_1/cancel/ /v1/skills`,
    ),
    ...all('DELETE', '/v1/models/ft:gpt-4o /v1/batches/b_1 /v1/chat/completions/c_1 /v1/vector_stores/vs_1 /v1/files'),
    ...all('PUT', '/v1/chat/completions /v1/files/f_1'),
    ...all('PATCH', '/v1/responses /v1/models/m'),
  ],
  anthropic: [
    ...all(
      'GET',
      `/v1/messages /v1/messages/batches /v1/files /v1/files/f_1 /v1/files/f_1/content /v1/skills /v1/agents /v1/sessions
      /v1/sessions/s_1/events /v1/environments /v1/organizations/usage_report/messages /v1/organizations/cost_report
      /v1/organizations/api_keys /v1/organizations/me /v1/messages/batches/b_1/results/x`,
    ),
    ...all(
      'POST',
      `/v1/complete /v1/files /v1/skills /v1/agents /v1/sessions /v1/sessions/s_1/events /v1/environments
      /v1/organizations/api_keys/k_1 /v1/messages/batches/b_1 /v1/messages/ /v1/messages/batches/ /v1/experimental/generate_prompt
      /v1/experimental/improve_prompt /v1/chat/completions /v1/messages/stream /v2/messages`,
    ),
    ...all('DELETE', '/v1/files/f_1 /v1/messages/batches /v1/skills/s_1'),
    ...all('PUT', '/v1/messages'),
  ],
  bedrock: [
    ...all(
      'GET',
      `/model/x/invoke /model/x/converse /model/x/count-tokens /async-invoke /async-invoke/arn /foundation-models
      /custom-models /inference-profiles /model-invocation-jobs /guardrails /provisioned-model-throughputs`,
    ),
    ...all(
      'POST',
      `/async-invoke /model/x/async-invoke /model/x/invoke-with-bidirectional-stream /model/x
      /guardrail/g/version/1/apply /model-invocation-job /model-customization-jobs /provisioned-model-throughput
      /agents/a/agentAliases/b/sessions/s/text /knowledgebases/k/retrieve /retrieveAndGenerate /rerank /optimize-prompt
      /openai/v1/chat/completions /v1/chat/completions /v1/messages /model/x/invoke/ /model/x/y/invoke /flows/f/aliases/a`,
    ),
    ...all('PUT', '/model/x/invoke'),
    ...all('DELETE', '/model/x/converse /guardrails/g'),
  ],
  gemini: [
    ...all(
      'GET',
      `/v1beta/cachedContents /v1beta/cachedContents/c_1 /v1beta/files /v1beta/files/f_1 /v1beta/tunedModels
      /v1beta/operations/o_1 /v1beta/batches /v1beta/fileSearchStores /v1beta/corpora /v1beta/interactions/i_1
      /v1beta/models/gemini-2.5-flash:generateContent /v1beta/models/a/b /v1beta/models?$httpMethod=POST
      /v1beta/models/gemini-2.5-flash?$req=x
      /ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent`,
    ),
    ...all(
      'POST',
      `/v1beta/cachedContents /v1beta/files /upload/v1beta/files /v1beta/tunedModels /v1beta/tunedModels/t_1:generateContent
      /v1beta/models/gemini-2.5-flash:batchGenerateContent /v1beta/models/gemini-embedding-001:asyncBatchEmbedContent
      /v1beta/models/veo-3.1:predictLongRunning /v1beta/models/imagen-4:predict /v1beta/models/gemini-2.5-flash:generateAnswer
      /v1beta/models/gemini-2.5-flash:generateMessage /v1beta/models/gemini-2.5-flash:generateText
      /v1beta/models/gemini-2.5-flash:embedText
      /v1beta/models/gemini-2.5-flash:countTokens?$httpMethod=DELETE /v1beta/models/gemini-2.5-flash /v1beta/models/gemini-2.5-flash:
      /v1beta/models/gemini-2.5-flash:GenerateContent /v1beta/models/gemini-2.5-flash:generateContent:generateContent
      /v1beta/models/gemini-2.5-flash:generateContent/ /v1beta/dynamic/d_1:generateContent /v1beta/interactions
      /v1beta/fileSearchStores /v1beta/fileSearchStores/s_1:importFile /v1beta/corpora /v1beta/openai/chat/completions
      /v1beta/openai/embeddings /v1/decisions /v1/interactions /upload/v1/files /v1beta/auth_tokens /v2/models/gemini-2.5-flash:generateContent
      /v1beta/projects/p/locations/l/publishers/google/models/gemini-2.5-flash:generateContent /batch`,
    ),
    ...all('PATCH', '/v1beta/cachedContents/c_1 /v1beta/tunedModels/t_1'),
    ...all('DELETE', '/v1beta/files/f_1 /v1beta/models/gemini-2.5-flash'),
  ],
  'google-places': [
    ...all(
      'GET',
      '/v1/places /v1/places/a/photos /v1/places/a/photos/b /v1/places/a/reviews /maps/api/place/details/json',
    ),
    ...all(
      'POST',
      `/v1/places:searchAlongRoute /v1/places:searchText/ /v1/places:SearchText /v1/places /v1/places/a
      /directions/v2:computeRoutes /v1:computeInsights /v1/geocode /v1/places:searchText:searchText`,
    ),
    ...all('DELETE', '/v1/places/a'),
  ],
  things: [
    ...all('GET', '/things /things/1/2 /other /'),
    ...all('POST', '/things/1 /things/'),
    ...all('DELETE', '/things/1'),
    ...all('PUT', '/things'),
  ],
}
