// The fake model's answers in the format of each family behind Bedrock's InvokeModel, except Claude: whole, and in chunks.
// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html

import { objectOrEmpty } from '../providers/answer.ts'
import { type Body, type Said, say } from './fake-text.ts'

export interface Spoken {
  answer: object
  chunks: object[]
  output: number
}

/** Each family's answer, by the beginning of its models' ids. */
export const FAMILIES: Record<string, (body: Body, input: number) => Spoken> = {
  'amazon.nova-': (body, inputTokens) => {
    const config = objectOrEmpty(body.inferenceConfig)
    const said = say({ bound: config.maxTokens ?? config.max_new_tokens })
    const outputTokens = said.pieces.length
    const usage = { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens, cacheReadInputTokenCount: 0 }
    const message = { role: 'assistant', content: [{ text: said.pieces.join('') }] }
    const deltas = said.pieces.map((text) => ({ contentBlockDelta: { delta: { text }, contentBlockIndex: 0 } }))
    const end = [{ messageStop: { stopReason: 'end_turn' } }, { metadata: { usage, metrics: {}, trace: {} } }]
    return {
      answer: { output: { message }, stopReason: 'end_turn', usage },
      chunks: [...deltas, ...end],
      output: outputTokens,
    }
  },
  'amazon.titan-embed-text': (_, inputTextTokenCount) => ({
    answer: { embedding: [0.1, 0.2], inputTextTokenCount },
    chunks: [],
    output: 0,
  }),
  'amazon.titan-text': (body, inputTextTokenCount) => {
    const config = objectOrEmpty(body.textGenerationConfig)
    const said = say({ bound: config.maxTokenCount })
    const completionReason = said.truncated ? 'LENGTH' : 'FINISH'
    const result = { tokenCount: said.pieces.length, outputText: said.pieces.join(''), completionReason }
    const chunks = said.pieces.map((outputText, index) => ({ outputText, index, inputTextTokenCount }))
    return { answer: { inputTextTokenCount, results: [result] }, chunks, output: said.pieces.length }
  },
  'meta.llama': (body, prompt_token_count) => {
    const said = say({ bound: body.max_gen_len })
    const stop_reason = said.truncated ? 'length' : 'stop'
    const generation_token_count = said.pieces.length
    return {
      answer: { generation: said.pieces.join(''), prompt_token_count, generation_token_count, stop_reason },
      chunks: said.pieces.map((generation) => ({ generation, prompt_token_count, stop_reason: null })),
      output: generation_token_count,
    }
  },
  'mistral.': (body) => outputs(say({ bound: body.max_tokens })),
  'cohere.command': (body) => {
    const said = say({ bound: body.max_tokens })
    return { ...outputs(said), answer: { generations: [{ text: said.pieces.join(''), finish_reason: 'COMPLETE' }] } }
  },
  'cohere.embed': () => ({
    answer: { embeddings: [[0.1, 0.2]], response_type: 'embeddings_floats' },
    chunks: [],
    output: 0,
  }),
}

function outputs({ pieces, truncated }: Said): Spoken {
  const stop_reason = truncated ? 'length' : 'stop'
  return {
    answer: { outputs: [{ text: pieces.join(''), stop_reason }] },
    chunks: pieces.map((text) => ({ outputs: [{ text, stop_reason: null }] })),
    output: pieces.length,
  }
}
