"""Fault injection: runs the real Lambda handlers and kills them at every outside call.

A scenario begins a stack in an environment of local services and issues one request as CloudFormation does. The
provider runs in a forked process. At a fault point, which is the moment before or after the effect of an outside call,
a fault is injected: the process is killed (kill) or paused (pause), the connection breaks before the effect (reset) or
before the response (drop), or the service returns an error (error, throttle). A follow-up then does what CloudFormation
and Lambda do next. Finally the stack is deleted, and the scenario compares what the services hold with what
CloudFormation knows. In its name, `sms-phone-number/create/kill+4/retries@tags-late`, kill+4 is after call 4 (kill-4:
before), and @ is the services' behavior.

Follow-ups: retries · retries-exhausted: only the continuation function runs · timed-out: no retry within ServiceTimeout
· canceled: CloudFormation sends the next request at once, retries come later · ignored-response: retries respond to a
canceled request · canceled-while-running, redelivered-while-running: meanwhile the invocation is paused · concurrent:
two invocations at once · deleted-after-response, deleted-while-running: of a Create · rolled-back, stack-deleted,
rollback-failed: of an Update.

Columns: fault points · killed: fault points with a kill · runs · bought twice: purchases beyond one per request ·
leaked: held but unknown to CloudFormation after the sweep · before sweep: the same before the sweep; allowed · unknown:
purchases whose result stays unknown; allowed · unanswered: without a valid response · secrets: logs, tables or errors
with a NoEcho value or signature · other: lost (CloudFormation has it, but it is released), contradicted (responses
differ), undeletable (Delete failed twice), hanging.

Modules: declarations: resource properties · environment, environment_server, virtual_clock: local services ·
invocation: child process and faults · simulation: CloudFormation and Lambda · follow_ups · scenario: name and runner ·
plan: which scenarios · history, random_histories · mutations: a provider without a safeguard must fail · workers ·
report.
"""
