"""Fault injection: runs the real Lambda handlers and makes every outside call fail.

1. A scenario begins a stack in local services (environment, environment_server) and sends one request as CloudFormation
   does (simulation). The properties come from the resource types' event files (declarations).
2. The provider runs in a forked process (invocation). At a fault point, before or after the effect of one outside call,
   the process is killed or paused, the connection breaks before the effect (reset) or before the response (drop), or
   the service returns an error or throttles. sms-phone-number/create/kill+4/retries is killed after call 4 (scenario).
3. CloudFormation and Lambda continue (follow_ups): retries; retries-exhausted: only the continuation function runs;
   timed-out: no retry within ServiceTimeout; canceled: CloudFormation sends its next request before the retries;
   ignored-response: after them; canceled-while-running and redelivered-while-running: during a pause; concurrent: two
   deliveries at once; deleted-after-response, deleted-while-running (Create); rolled-back, stack-deleted and
   rollback-failed (Update). After @ is the behavior of the services, such as tags-late.
4. The stack is deleted, and what the services hold is compared with what CloudFormation knows. Columns of the report:
   - fault points: of the request without a fault; killed: those that were killed; runs: scenarios
   - bought twice: purchases beyond one per request; secrets: places with a NoEcho value or a signature
   - before sweep: numbers that CloudFormation doesn't know (allowed); leaked: those that the sweep didn't release
   - unknown: purchases whose result is unknown (allowed); unanswered: requests without a valid response
   - other: lost (released although CloudFormation has it), contradicted (responses differ), undeletable (a Delete
     failed twice), hanging; in the JSON report also failed: FAILED responses (allowed)

plan selects the scenarios, workers runs them, report adds up. history and random_histories run many requests on one
stack. mutations removes a safeguard from the provider: the scenarios must notice.
"""
