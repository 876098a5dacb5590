"""Fault injection: runs the real Lambda handlers and makes every outside call fail.

1. A scenario begins a stack in local services (environment, environment_server) and sends one request as CloudFormation
   does (simulation). The properties come from the resource types' event files (declarations). CloudFormation's API
   shows the state of the stack (stacks).
2. The provider and the continuation run in a forked process (invocation). At a fault point, before or after the effect
   of one outside call, the process is killed or paused, the connection breaks before the effect (reset) or before the
   response (drop), or the service returns an error or throttles. sms-phone-number/create/kill+4/retries is killed after
   call 4 (scenario). A request that waits in the queue has several invocations: kill+4.1 is killed in the second.
3. CloudFormation, Lambda, the queue and other stacks continue (follow_ups), each when it is due by the virtual clock.
   After @ is the behavior of the services, such as tags-late, or what happens to the queue, such as contended: other
   requests have reserved the calls of the next seconds (delivery).
   - retries; retries-exhausted: Lambda sends the event to the queue; timed-out: nothing runs within ServiceTimeout;
     redriven: the message comes from the dead-letter queue hours later; canceled: CloudFormation sends its next request
     before the first continues; ignored-response: after; concurrent: two deliveries at once; deleted-after-response,
     rolled-back, stack-deleted, rollback-failed
   - during a pause: canceled-, redelivered-, resent-, deleted-while-running; raced: another stack requests the same
   - the same RequestId with a newer URL: resent; retried-after-failure, -timeout, -rollback
   - without a rollback: deleted-later; with a retained number: retained-by-rollback, retained-after-timeout
   - with a number that is pending release: taken-later; fails: the request that takes it; during a pause: swept-,
     restored-, protected-, adopted-, taken-, recreated-while-running. The request `due` is the sweep that releases it
   - given-up: CloudFormation gives up a Delete after three attempts; name-taken: another stack requests the sender ID
     or adopts the number
4. The stack is deleted, and what the services hold is compared with what CloudFormation knows (audit). A number that is
   pending release is not leaked until it is due; at the end the clock moves past that. Columns of the report:
   - fault points: of the request without a fault; killed: those that were killed; runs: scenarios
   - bought twice: purchases beyond one per RequestId and time of issue; secrets: places with a NoEcho value or a
     signature
   - before sweep: numbers that CloudFormation doesn't know (allowed); leaked: those that the sweep didn't release
   - wrongly released: while a stack or an operator had the number, or a policy retained it; wrongly changed: while the
     stack was in no operation, or protection set by hand that was disabled
   - unknown: purchases that ended with an unknown result (allowed); unanswered: requests without a valid response, or
     without one within ServiceTimeout although everything was delivered in time
   - other: lost (released although CloudFormation has it), shared (two stacks have it), mistagged (pending release
     without the tag of its due date, or used with it), stale (a retried operation fails although the cause of its
     failure ended), refused (a request of a history fails without a reason), contradicted (responses to one URL
     differ), undeletable (a Delete failed twice), hanging; in the JSON report also failed: FAILED responses, and
     dropped: numbers that CloudFormation gave up to delete (both allowed)

plan selects the scenarios, workers runs them, report adds up. history runs many steps in the life of one resource, with
operators and other stacks, and random_histories generates them: `python -m tests.faults --histories-seconds 600`.
Where the services forget ClientTokens and also show purchases late, a second purchase is `allowed`. regressions are
histories that once failed. mutations removes a safeguard from the provider: the scenarios must notice.
"""
