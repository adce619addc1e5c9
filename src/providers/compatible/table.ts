// The OpenAI-compatible providers that Tollgate knows. A row is what an operator would write into PROVIDERS; one whose
// base URL holds an account has none here.

import type { ProviderRow } from './provider.ts'

export const KNOWN_PROVIDERS: readonly ProviderRow[] = [
  {
    // https://console.groq.com/docs/api-reference
    name: 'groq',
    base_url: 'https://api.groq.com/openai/v1',
    operations: ['responses', 'models'],
    quirks: {
      usage_at: 'x_groq.usage',
      fields: { include_reasoning: 0, reasoning_format: 0, disable_tool_validation: 0 },
      // These search the web and run code by themselves.
      fee_models: ['compound'],
    },
  },
  {
    // https://docs.mistral.ai/api: refuses stream_options and max_completion_tokens as unknown.
    name: 'mistral',
    base_url: 'https://api.mistral.ai/v1',
    operations: ['embeddings', 'models'],
    request_id_header: 'mistral-correlation-id',
    // As xAI's. No page names it, but Mistral's own agent sends it, and so does Zed:
    // https://github.com/zed-industries/zed/pull/48584
    forwarded_headers: ['x-affinity'],
    quirks: {
      no_stream_options: true,
      output_field: 'max_tokens',
      // Both write a system prompt of Mistral's before the messages.
      fields: { prompt_mode: 2_000, safe_prompt: 500, random_seed: 0 },
      // See `mistralErrorDataSchema` of https://github.com/vercel/ai/tree/main/packages/mistral.
      error_shape: 'flat',
    },
  },
  {
    // https://api-docs.deepseek.com. Cached tokens and thoughts are inside the totals, thoughts inside the bound, too: see the
    // recorded answers of https://github.com/vercel/ai/tree/main/packages/deepseek/src/chat/__fixtures__ (issue 19789).
    name: 'deepseek',
    base_url: 'https://api.deepseek.com/v1',
    request_id_header: 'x-ds-trace-id',
    quirks: {
      output_field: 'max_tokens',
      cached_tokens_at: 'prompt_cache_hit_tokens',
      fields: { thinking: 0, user_id: 0 },
    },
  },
  {
    // https://docs.x.ai/docs/api-reference. Live search (`search_parameters`) is billed by the source: unbounded.
    name: 'xai',
    base_url: 'https://api.x.ai/v1',
    operations: ['responses', 'models'],
    // Without it a chat's next call may go to a server that does not have its cache:
    // https://docs.x.ai/developers/advanced-api-usage/prompt-caching/maximizing-cache-hits
    forwarded_headers: ['x-grok-conv-id'],
    quirks: {
      // The other one is deprecated.
      output_field: 'max_completion_tokens',
      // The AI SDK's name of parallel_tool_calls.
      fields: { parallel_function_calling: 0 },
      // "The limit is only applied to the main content and not to the reasoning content or function calls" (`max_tokens` in
      // https://github.com/xai-org/xai-proto/blob/main/proto/xai/api/v1/chat.proto); an answer to `max_output_tokens: 16` had
      // 111 tokens (https://github.com/vercel/ai/tree/main/packages/xai/src/responses/__fixtures__, issue 17936).
      text_bound_models: ['grok'],
      plain_models: ['non-reasoning', 'grok-2'],
      // Many agents answer one call.
      fee_models: ['multi-agent'],
      // Reasoning models bill some 700 tokens of xAI's own for "hi".
      preamble_tokens: 2_000,
    },
  },
  {
    // https://docs.together.ai/reference/chat-completions. `safety_model` runs a second model: unbounded.
    name: 'together',
    base_url: 'https://api.together.xyz/v1',
    operations: ['completions', 'embeddings', 'models'],
    quirks: {
      output_field: 'max_tokens',
      fields: { context_length_exceeded_behavior: 0, reasoning: 0, chat_template_kwargs: 1_000 },
    },
  },
  {
    // https://openrouter.ai/docs/api-reference/overview. `models`, `provider`, `preset`, `plugins` choose other prices.
    name: 'openrouter',
    base_url: 'https://openrouter.ai/api/v1',
    operations: ['embeddings', 'responses', 'models'],
    // The last two keep a conversation where its cache is, as `session_id` does, and turn on three betas of Claude's that cost
    // nothing: without one of them, OpenRouter takes `strict` out of tools.
    // https://openrouter.ai/docs/guides/routing/provider-selection#anthropic-beta-features
    forwarded_headers: [
      'http-referer',
      'x-title',
      'x-openrouter-title',
      'x-openrouter-categories',
      'x-session-id',
      'x-anthropic-beta',
    ],
    quirks: {
      // Always reports usage, in the model's own tokens; the option has no effect:
      // https://openrouter.ai/docs/use-cases/usage-accounting
      no_stream_options: true,
      output_field: 'max_tokens',
      // See `chatSend` and `PaymentRequiredResponseErrorData` of https://github.com/OpenRouterTeam/typescript-sdk.
      error_shape: 'status',
      cache_ttl: true,
      fields: {
        cache_control: 0,
        reasoning: 0,
        include_reasoning: 0,
        top_a: 0,
        transforms: 0,
        usage: 0,
        session_id: 0,
        trace: 0,
        // opencode's, beside or in place of `reasoning`: a hint, which the bound of the output covers.
        reasoningEffort: 0,
      },
      // As at xAI.
      text_bound_models: ['grok'],
      plain_models: ['non-reasoning', 'grok-2'],
      // A search with every call, models that choose another one, what is stored at OpenRouter, and many agents.
      fee_models: [':online', ':exacto', 'sonar', 'openrouter/', '@preset', 'multi-agent'],
    },
  },
  {
    // The v1 API: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle. The model is a deployment's name.
    name: 'azure',
    credential_header: 'api-key',
    operations: ['completions', 'embeddings', 'responses', 'models'],
    request_id_header: 'apim-request-id',
    deployments: true,
    // "A 400 error due to a content filter or input limit, or a 408 error due to a timeout":
    // https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs
    quirks: {
      service_tiers: true,
      encrypted_thoughts: true,
      billed_errors: ['content_filter', 'context_length_exceeded', '408'],
    },
  },
  {
    // https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility
    name: 'workers-ai',
    operations: ['embeddings', 'responses'],
    // As xAI's: https://developers.cloudflare.com/workers-ai/features/prompt-caching
    forwarded_headers: ['x-session-affinity'],
    request_id_header: 'cf-ray',
    quirks: { output_field: 'max_tokens' },
  },
]
