-- The books of all limits in Redis: the twin of window.py and grant.py, which say why.
-- One call works off a batch of operations at one moment.
--
-- KEYS[1]  what is known of the books as a whole; the keys of limits begin as it does
-- ARGV     epoch of the books that the client knows, or ""; the longest lease it gives, in seconds; whether it can
--          say what was used ("1"); the time in seconds, for tests, or ""; the operations as JSON
-- Answers  the epoch, then a list of strings for each operation
--
-- A limit is {key, amount, kind, window_s, period, utc_offset_s, keep_s}. Its books are a hash with the sums and the
-- used amounts by slot ("s<slot>"), and a sorted set of what ends when: slots, and calls that hold something
-- ("h<reservation>:<amount>").

local SLOTS, DRIFT, POLL_S, STEPS = 100, 0.001, 0.25, 20
local NEVER = math.huge
local DAY_S = 86400
local LEARNED_S = 30 * DAY_S -- what a server said of a limit is kept so long
local LONGEST_S = 400 * DAY_S -- a budget for ever that nobody touches is kept so long
local LAST = '~' -- stays in the sorted set, so that it is never empty and keeps its time to live

local call, floor, min, max = redis.call, math.floor, math.min, math.max
local prefix = string.sub(KEYS[1], 1, -#'state' - 1)
local can_seed = ARGV[3] == '1'

local function whole(number) return string.format('%.0f', number) end
local function precise(number) return string.format('%.17g', number) end

-- The moment, and whether the books are those we left --------------------------------------------------------------

local now, epoch, lost_at, lease_s

local function begin()
  local run, stored, fresh, lost, high, longest =
    unpack(call('HMGET', KEYS[1], 'run', 'epoch', 'fresh', 'lost', 'high', 'lease'))
  local running = string.match(call('INFO', 'server'), 'run_id:(%x+)')
  now = tonumber(ARGV[4])
  if not now then
    local time = call('TIME')
    now = time[1] + time[2] / 1e6
  end
  now = max(now, tonumber(high) or 0) -- the clock of a server may be put back
  lease_s = max(tonumber(ARGV[2]), tonumber(longest) or 0)
  epoch, lost_at = stored, tonumber(lost)
  local known = ARGV[1]
  if run ~= running then -- another server, or this one anew: what it wrote last may be gone
    epoch = whole(max(floor(now * 1e6), (tonumber(stored) or 0) + 1, (tonumber(known) or 0) + 1))
    if run or known ~= '' then lost_at, fresh = now, '0' else fresh = '1' end
  elseif fresh == '1' and known ~= '' and known ~= epoch then -- new to who came first, but others knew them before
    lost_at, fresh = now, '0'
  end
  if epoch ~= stored or lost_at ~= tonumber(lost) or lease_s ~= tonumber(longest) then
    call('HSET', KEYS[1], 'run', running, 'epoch', epoch, 'fresh', fresh, 'lost', lost_at and precise(lost_at) or '',
      'lease', precise(lease_s))
  end
  call('HSET', KEYS[1], 'high', precise(now))
end

-- Lost books know neither what was used in the window nor the calls that run: closed until both are over.
local function opens(limit)
  if not lost_at then return 0 end
  return lost_at + max(lease_s, limit.kind == 'rate' and limit.window_s or 0)
end

-- Periods ----------------------------------------------------------------------------------------------------------

-- The first day of the month of a day, in days since 1970. Source: H. Hinnant, chrono-compatible date algorithms.
local function month_start(day)
  local doe = (day + 719468) % 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  return day - (doy - floor((153 * floor((5 * doy + 2) / 153) + 2) / 5))
end

local function phase_of(limit)
  if limit.kind ~= 'calendar' or limit.period == 'ever' then return 0, NEVER, NEVER end
  local here = now + limit.utc_offset_s
  local start, stop
  if limit.period == 'month' then
    local first = month_start(floor(here / DAY_S))
    start, stop = first * DAY_S, month_start(first + 32) * DAY_S
  else
    local long = limit.period == 'hour' and 3600 or DAY_S
    start = floor(here / long) * long
    stop = start + long
  end
  return start, here - start, stop - here
end

-- The books of one limit -------------------------------------------------------------------------------------------

local windows = {}

local function width(limit) return limit.window_s / SLOTS end
local function leaves(slot, limit) return (slot + 1) * width(limit) + limit.window_s * (1 + DRIFT) end

local function keep(window, seconds) window.keep_s = max(window.keep_s, min(seconds, LONGEST_S)) end

local function use(window, limit, at, amount)
  if limit.kind == 'concurrency' or amount == 0 then return end
  if limit.kind == 'rate' then
    local slot = floor(at / width(limit))
    local ends = leaves(slot, limit)
    if ends <= now then return end
    local field = 's' .. whole(slot)
    if call('HINCRBY', window.hash, field, whole(amount)) == amount then call('ZADD', window.ends, ends, field) end
    window.due, window.in_order = min(window.due, ends), nil
  end
  window.settled = window.settled + amount
  window.changed = true
end

local function held_as(id, amount) return 'h' .. id .. ':' .. whole(amount) end

local function hold(window, id, amount, till)
  -- Not new when the client asks again, because it did not get the answer.
  if call('ZADD', window.ends, till, held_as(id, amount)) == 1 then window.holding = window.holding + amount end
  window.due, window.changed = min(window.due, till), true
end

local function let_go(window, id, amount)
  local held = call('ZREM', window.ends, held_as(id, amount)) == 1
  if held then window.holding, window.changed = window.holding - amount, true end
  return held
end

local function ended(window, limit, began)
  local over = call('ZRANGEBYSCORE', window.ends, '-inf', precise(now), 'WITHSCORES')
  for i = 1, #over, 2 do
    local member, at = over[i], tonumber(over[i + 1])
    if string.sub(member, 1, 1) == 's' then
      window.settled = window.settled - (tonumber(call('HGET', window.hash, member)) or 0)
      call('HDEL', window.hash, member)
    else
      local amount = tonumber(string.match(member, '(%d+)$'))
      window.holding = window.holding - amount
      if at > began then use(window, limit, at, amount) end
    end
  end
  if #over > 0 then call('ZREMRANGEBYSCORE', window.ends, '-inf', precise(now)) end
  window.due = tonumber(call('ZRANGE', window.ends, 0, 0, 'WITHSCORES')[2]) or NEVER
  window.in_order, window.changed = nil, true
end

local function opened(key)
  local window = windows[key]
  if window then return window end
  window = { hash = prefix .. 'b:' .. key, ends = prefix .. 'e:' .. key, keep_s = 0 }
  local settled, holding, period, learned, blocked, due, of, till =
    unpack(call('HMGET', window.hash, 'settled', 'holding', 'period', 'learned', 'blocked', 'due', 'epoch', 'till'))
  window.new = not settled
  window.settled, window.holding = tonumber(settled) or 0, tonumber(holding) or 0
  window.period, window.learned = tonumber(period) or 0, tonumber(learned)
  window.blocked, window.due = tonumber(blocked) or 0, tonumber(due) or NEVER
  window.epoch, window.till = of, tonumber(till) or 0
  windows[key] = window
  return window
end

local function rolled(limit)
  local window = opened(limit.key)
  local start, since_s, left_s = phase_of(limit)
  local began = -NEVER
  keep(window, limit.keep_s + lease_s)
  if limit.kind == 'calendar' and start > window.period then
    began = now - since_s
    window.settled, window.period, window.changed = 0, start, true
  end
  if now >= window.due then ended(window, limit, began) end
  return window, left_s
end

local function saved(window)
  call('HSET', window.hash, 'settled', whole(window.settled), 'holding', whole(window.holding),
    'period', whole(window.period), 'blocked', precise(window.blocked), 'due', precise(window.due),
    'epoch', window.epoch or '', 'learned', window.learned and whole(window.learned) or '')
  if window.new then call('ZADD', window.ends, '+inf', LAST) end
  if window.learned then keep(window, LEARNED_S) end
  keep(window, window.blocked - now)
  if window.till < now + window.keep_s then -- twice as long as needed, so that it is not done every time
    local seconds = math.ceil(2 * window.keep_s) + 1
    call('HSET', window.hash, 'till', precise(now + seconds))
    call('EXPIRE', window.hash, seconds)
    call('EXPIRE', window.ends, seconds)
  end
end

-- What is free -----------------------------------------------------------------------------------------------------

local function most(window, limit) return window.learned or limit.amount end

-- Slots, the oldest first: when each leaves, and what was used in it.
local function in_order(window, limit)
  if window.in_order then return window.in_order end
  local fields, list = {}, {}
  local found = call('ZRANGEBYSCORE', window.ends, '-inf', precise(leaves(floor(now / width(limit)), limit)), 'WITHSCORES')
  for i = 1, #found, 2 do
    if string.sub(found[i], 1, 1) == 's' then
      fields[#fields + 1] = found[i]
      list[#list + 1] = { tonumber(found[i + 1]) }
    end
  end
  if #fields > 0 then
    for i, amount in ipairs(call('HMGET', window.hash, unpack(fields))) do list[i][2] = tonumber(amount) or 0 end
  end
  window.in_order = list
  return list
end

local function blocked_s(window, limit) return max(0, window.blocked - now, opens(limit) - now) end

local function wait_s(window, limit, amount, left_s)
  local there = most(window, limit)
  if amount > there then return NEVER end
  local shut_s = blocked_s(window, limit)
  local over = window.settled + window.holding + amount - there
  if over <= 0 then return shut_s end
  if window.settled + amount <= there then return max(shut_s, POLL_S) end
  if limit.kind == 'calendar' and window.holding + amount <= there then return max(shut_s, left_s) end
  if limit.kind == 'rate' then
    for _, slot in ipairs(in_order(window, limit)) do
      over = over - slot[2]
      if over <= 0 then return max(shut_s, slot[1] - now) end
    end
  end
  return max(shut_s, POLL_S)
end

local function headroom(window, limit, amount)
  local there = most(window, limit)
  return there > 0 and (there - window.settled - window.holding - amount) / there or 0
end

-- Operations -------------------------------------------------------------------------------------------------------

local operations = {}

local function as_limit(list)
  return { key = list[1], amount = list[2], kind = list[3], window_s = list[4], period = list[5],
    utc_offset_s = list[6], keep_s = list[7] }
end

local function as_limits(lists)
  local limits = {}
  for i, list in ipairs(lists) do limits[i] = as_limit(list) end
  return limits
end

-- Calendar limits whose books were not in Redis before, by number: the client shall say what was used.
local function unseeded(limits)
  local found = {}
  for i, limit in ipairs(limits) do
    if limit.kind == 'calendar' and opens(limit) <= now then
      local window = rolled(limit)
      if window.epoch ~= epoch then
        if can_seed then found[#found + 1] = whole(i) else window.epoch, window.changed = epoch, true end
      end
    end
  end
  return found
end

-- Headroom of an option that is free; else nil, the wait, and the keys in its way.
local function look(limits, option)
  local free, longest, keys = 1, 0, {}
  for _, charge in ipairs(option) do
    local limit, amount = limits[charge[1]], charge[2]
    local window, left_s = rolled(limit)
    local wait = wait_s(window, limit, amount, left_s)
    if wait ~= 0 then
      keys[#keys + 1] = limit.key
      longest = max(longest, wait)
    elseif #keys == 0 then
      free = min(free, headroom(window, limit, amount))
    end
  end
  if #keys > 0 then return nil, longest, keys end
  return free
end

-- Answers "granted", the epoch and the number of the option; "refused", the wait and the keys; or "seed", the epoch and
-- numbers of limits.
function operations.reserve(id, seconds, first, lists, options)
  local limits = as_limits(lists)
  local seed = unseeded(limits)
  if #seed > 0 then return { 'seed', epoch, unpack(seed) } end
  local best, best_step, soonest, in_the_way = nil, -1, nil, {}
  for i, option in ipairs(options) do
    local free, wait, keys = look(limits, option)
    if free and floor(free * STEPS) > best_step then
      best, best_step = i, floor(free * STEPS)
      if first then break end
    elseif not free and (not soonest or wait < soonest) then
      soonest, in_the_way = wait, keys
    end
  end
  if not best then return { 'refused', precise(soonest or NEVER), unpack(in_the_way) } end
  for _, charge in ipairs(options[best]) do hold(rolled(limits[charge[1]]), id, charge[2], now + seconds) end
  return { 'granted', epoch, whole(best - 1) }
end

-- `of`: the epoch in which it was granted. What books that were lost held is counted here in full, or held again.
function operations.settle(id, of, lists, charged, used)
  for i, limit in ipairs(as_limits(lists)) do
    local window, amount = rolled(limit), used[i]
    if not let_go(window, id, charged[i]) and limit.kind == 'calendar' and of == epoch then
      amount = max(0, amount - charged[i])
    end
    use(window, limit, now, amount)
  end
  return {}
end

function operations.release(id, lists, charged)
  for i, limit in ipairs(as_limits(lists)) do let_go(rolled(limit), id, charged[i]) end
  return {}
end

function operations.extend(id, of, seconds, lists, charged)
  for i, limit in ipairs(as_limits(lists)) do
    local window = rolled(limit)
    local till = tonumber(call('ZSCORE', window.ends, held_as(id, charged[i])))
    if till then
      let_go(window, id, charged[i])
      hold(window, id, charged[i], max(till, now + seconds))
    elseif of ~= epoch then
      hold(window, id, charged[i], now + seconds)
    end
  end
  return {}
end

function operations.block(key, seconds)
  local window = opened(key)
  window.blocked, window.changed = max(window.blocked, now + seconds), true
  return {}
end

-- A negative number says nothing.
function operations.learn(list, amount, remaining)
  local limit = as_limit(list)
  local window = rolled(limit)
  if amount >= 0 then window.learned, window.changed = amount, true end
  if remaining >= 0 then
    use(window, limit, now, max(0, most(window, limit) - remaining - window.settled - window.holding))
  end
  return {}
end

function operations.standing(lists)
  local answer = {}
  for i, limit in ipairs(as_limits(lists)) do
    local window = rolled(limit)
    answer[i] = table.concat({ whole(most(window, limit)), whole(window.settled), whole(window.holding),
      precise(blocked_s(window, limit)) }, ' ')
  end
  return answer
end

-- What was used of calendar limits, as books elsewhere say that were complete in that epoch.
function operations.seed(of, lists, used)
  for i, limit in ipairs(as_limits(lists)) do
    local window = rolled(limit)
    if of == epoch and window.epoch ~= epoch then
      window.settled, window.epoch, window.changed = max(window.settled, used[i]), epoch, true
    end
  end
  return {}
end

begin()
local answers = { epoch }
for i, operation in ipairs(cjson.decode(ARGV[5])) do
  answers[i + 1] = operations[operation[1]](unpack(operation, 2))
end
for _, window in pairs(windows) do
  if window.changed then saved(window) end
end
return answers
