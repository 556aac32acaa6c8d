"""The two Lua scripts of the batching worker: claim a batch, finish a batch. Each runs atomically.

`workers.batching` says what they rest on; keys and arguments are listed at the top of each.
"""

LONGEST = 2**31 - 1
"""Seconds: what alarm(2) takes, and far less than EXPIRE does. No time of a job may be longer."""

_IN_PARTS = """
-- A command with all values of a list. Lua can't hand over more than some thousands at once.
local function in_parts(command, key, values)
  for first = 1, #values, 1000 do
    redis.call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
end
"""

CLAIM = (
    _IN_PARTS
    + """
-- KEYS: queue, started registry, worker, worker's executions, suspended flag
-- ARGV: most jobs, worker name, now as text, now in seconds, lease margin, default time limit,
--       lease without a time limit, worker's ttl, job prefix, execution prefix,
--       executions prefix, start of the execution ids, longest time limit
if redis.call('EXISTS', KEYS[5]) == 1 then
  return {1, 0, 0, {}, {}, 0}
end
local most, seconds = tonumber(ARGV[1]), tonumber(ARGV[4])
local jobs, skipped, seen = {}, {}, {}
local limit, scanned = 0, 0

local function consider(id, execution)
  local hash = redis.pcall('HGETALL', ARGV[9] .. id)
  if seen[id] or hash.err or #hash == 0 then
    skipped[#skipped + 1] = id
    return
  end
  local timeout, fields = tonumber(ARGV[6]), {}
  for n = 1, #hash, 2 do
    if hash[n + 1] ~= '' then  -- RQ reads an empty field as none: spare the client parsing it
      fields[#fields + 1] = hash[n]
      fields[#fields + 1] = hash[n + 1]
    end
    if hash[n] == 'status' and hash[n + 1] == 'canceled' then
      skipped[#skipped + 1] = id
      return
    elseif hash[n] == 'timeout' then
      -- One that no job can have (inf, 1e18) is no reason to fail here, where every worker would:
      -- whoever reads the job parks it.
      local limit = string.match(hash[n + 1], '^%-?%d+$') and tonumber(hash[n + 1])
      if limit and math.abs(limit) <= tonumber(ARGV[13]) then timeout = limit end
    end
  end
  seen[id] = true
  if timeout <= 0 or limit < 0 then limit = -1 else limit = math.max(limit, timeout) end
  jobs[#jobs + 1] = {id, execution, fields}
end

-- Claimed by this worker, but the reply was lost: redis-py sends the script again.
for _, composite in ipairs(redis.call('SMEMBERS', KEYS[4])) do
  local id, execution = string.match(composite, '^(.*):([^:]*)$')
  local known = #jobs
  if id and redis.call('ZSCORE', KEYS[2], composite) then consider(id, execution) end
  if #jobs == known then
    redis.call('SREM', KEYS[4], composite)
    redis.call('ZREM', KEYS[2], composite)
  end
end

if #jobs == 0 then
  -- Bounded, so that a queue full of vanished jobs cannot keep the server to itself.
  for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, most * 2 + 100)) do
    if #jobs == most then break end
    scanned = scanned + 1
    consider(id, ARGV[12] .. string.format('%04x', #jobs))
  end
end

local lease = limit > 0 and math.floor(limit) + tonumber(ARGV[5]) or tonumber(ARGV[7])
local leases, executions = {}, {}
for n, job in ipairs(jobs) do
  local key, execution = ARGV[9] .. job[1], job[1] .. ':' .. job[2]
  redis.call('HSET', key, 'status', 'started', 'started_at', ARGV[3],
             'last_heartbeat', ARGV[3], 'worker_name', ARGV[2])
  redis.call('PERSIST', key)
  redis.call('HSET', ARGV[10] .. execution, 'id', job[2], 'job_id', job[1],
             'created_at', ARGV[4], 'last_heartbeat', ARGV[4], 'worker_name', ARGV[2])
  redis.call('EXPIRE', ARGV[10] .. execution, lease)
  redis.call('ZADD', ARGV[11] .. job[1], math.floor(seconds) + lease + 60, job[2])
  redis.call('EXPIRE', ARGV[11] .. job[1], lease + 60)
  leases[2 * n - 1], leases[2 * n] = math.floor(seconds) + lease, execution
  executions[n] = execution
end
in_parts('ZADD', KEYS[2], leases)
in_parts('SADD', KEYS[4], executions)
-- After all that, so that an error above leaves every job queued.
if scanned > 0 then redis.call('LTRIM', KEYS[1], scanned, -1) end
if #jobs > 0 then
  redis.call('EXPIRE', KEYS[4], lease + 60)
  redis.call('HSET', KEYS[3], 'state', 'busy', 'last_heartbeat', ARGV[3])
  redis.call('EXPIRE', KEYS[3], math.max(lease, tonumber(ARGV[8])) + 60)
end
return {0, limit, lease, jobs, skipped, scanned}
"""
)

FINISH = (
    _IN_PARTS
    + """
-- KEYS: queue, started registry, worker, worker's executions
-- ARGV: now as text, worker's ttl, seconds worked, job prefix, execution prefix,
--       executions prefix, results prefix, records...
-- A record: kind (ok, failed, check), job id, execution id, expiry of the job, sorted set,
--       score in it, push (L, R or nothing), n, n of the job's fields, result's expiry,
--       m, m of the result's fields
local at, verdicts, done, failed = 8, {}, 0, 0
local ended, scores = {}, {}
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local function take_list()
  local first = at + 1
  at = first + tonumber(ARGV[at])
  return first, at - 1
end
while at <= #ARGV do
  local kind, id, execution = take(), take(), take()
  local expiry, set, score, push = take(), take(), take(), take()
  local field, last_field = take_list()
  local result_expiry = take()
  local value, last_value = take_list()
  local key, composite = ARGV[4] .. id, id .. ':' .. execution
  local verdict
  if not redis.call('ZSCORE', KEYS[2], composite) or redis.call('EXISTS', key) == 0 then
    verdict = 'lost'
  elseif kind == 'check' or redis.call('EXISTS', key .. ':dependents') == 1 then
    verdict = 'apart'
  else
    verdict = 'done'
    redis.call('HSET', key, unpack(ARGV, field, last_field))
    if expiry ~= '' and tonumber(expiry) > 0 then redis.call('EXPIRE', key, expiry) end
    if set ~= '' then
      scores[set] = scores[set] or {}
      table.insert(scores[set], score)
      table.insert(scores[set], id)
    end
    if push ~= '' then redis.call(push .. 'PUSH', KEYS[1], id) end
    if last_value >= value then
      local results = ARGV[7] .. id
      redis.call('XADD', results, 'MAXLEN', '~', 10, '*', unpack(ARGV, value, last_value))
      if result_expiry == '-1' then
        redis.call('PERSIST', results)
      elseif result_expiry ~= '' then
        redis.call('EXPIRE', results, result_expiry)
      end
    end
    if kind == 'ok' then done = done + 1 else failed = failed + 1 end
  end
  if verdict ~= 'apart' then
    redis.call('DEL', ARGV[5] .. composite)
    redis.call('ZREM', ARGV[6] .. id, execution)
    ended[#ended + 1] = composite
  end
  verdicts[#verdicts + 1] = verdict
end
for set, members in pairs(scores) do in_parts('ZADD', set, members) end
in_parts('ZREM', KEYS[2], ended)
in_parts('SREM', KEYS[4], ended)
if done > 0 then redis.call('HINCRBY', KEYS[3], 'successful_job_count', done) end
if failed > 0 then redis.call('HINCRBY', KEYS[3], 'failed_job_count', failed) end
redis.call('HINCRBYFLOAT', KEYS[3], 'total_working_time', ARGV[3])
redis.call('HSET', KEYS[3], 'state', 'idle', 'last_heartbeat', ARGV[1])
redis.call('EXPIRE', KEYS[3], tonumber(ARGV[2]) + 60)
return verdicts
"""
)
