// Every kind of call that faults are tried on: all dialects, whole and streamed. There are only these exceptions: only a
// stream has events and can be withdrawn, and no client can leave in the middle of an answer that it reads whole.

import type { Streaming, Subject } from './fault-subject.ts'
import { BEDROCK } from './fault-subjects-aws.ts'
import { GOOGLE_AND_PER_CALL } from './fault-subjects-google.ts'
import { OPENAI_AND_ANTHROPIC } from './fault-subjects-openai.ts'

export const SUBJECTS: readonly Subject[] = [...OPENAI_AND_ANTHROPIC, ...BEDROCK, ...GOOGLE_AND_PER_CALL]

export const WHOLE = SUBJECTS.filter(({ stream }) => stream === null)

type Streamed = Subject & { stream: Streaming }
export const STREAMED = SUBJECTS.filter((subject): subject is Streamed => subject.stream !== null)
