#!lua name=verpost_v1
--
-- The schedule. A job is one member of exactly one of the zsets of its lane:
--
--   KEYS[1] q:{p<pool>.<lane>}:m  hash  V (virtual time), idle (somebody
--                                 waits), mark (run id of the Redis that was
--                                 filled), why:<worker>
--   KEYS[2] ...:r                 zset  ready: score = fair tag
--   KEYS[3] ...:t                 zset  later: score = due time in ms
--   KEYS[4] ...:h                 zset  held: score = worker
--   KEYS[5] ...:p                 zset  parked: score = hold
--   KEYS[6] ...:f                 hash  flow -> finish tag of its last job;
--                                 gone when ready runs empty
--   KEYS[7] ...:s                 zset  worker -> jobs taken / weight
--
-- Every function declares all seven: one hash tag, one slot of a cluster.
-- ARGV[1] is the offset of the test clock in ms, ARGV[2] the channel to wake
-- workers on; what follows is said at each function.
--
-- A member is recipient id (16 octets), flow (4), flags (1): bit 0
-- transactional, bits 4 to 7 log2 of its weight. Weights are powers of two, so
-- that tags stay exact.
--
-- The version is in the names of the library and of the functions, so that old
-- and new processes work side by side: a change of behaviour is a new version.

local M, R, T, H, P, F, S = 1, 2, 3, 4, 5, 6, 7

-- Lua's unpack and Redis' argument lists are bounded; callers send at most
-- 100 members but for sync.
local STEP = 500

-- Workers with short queues take turns: the one this many weighted jobs ahead
-- of the lowest yields once.
local SHORT, AHEAD = 64, 64

local function now_ms(argv)
	local t = redis.call('TIME')

	return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) +
	    tonumber(argv[1])
end

-- Calls verb key args... in steps; width arguments belong together.
local function call_all(verb, key, args, width)
	local step = STEP - STEP % width

	for i = 1, #args, step do
		redis.call(verb, key,
		    unpack(args, i, math.min(i + step - 1, #args)))
	end
end

-- The scores of the members in one zset, false where there is none.
local function scores(key, members)
	local out = {}

	if redis.call('EXISTS', key) == 0 then
		return out
	end
	for i = 1, #members, STEP do
		local got = redis.call('ZMSCORE', key,
		    unpack(members, i, math.min(i + STEP - 1, #members)))

		for j = 1, #got do
			out[i + j - 1] = got[j]
		end
	end
	return out
end

local function virtual_time(keys)
	return tonumber(redis.call('HGET', keys[M], 'V') or '0')
end

-- Start-time fair queueing: a job starts where its flow's last one finished,
-- or now, and its tag is its start. A transactional one stands one round ahead
-- of every bulk head; its rate stays bounded by its weight.
local function put(keys, members)
	local v = virtual_time(keys)
	local finish, flows, adds, sets = {}, {}, {}, {}

	for i = 1, #members do
		local flow = string.sub(members[i], 17, 20)

		if finish[flow] == nil then
			finish[flow] = v
			flows[#flows + 1] = flow
		end
	end
	for i = 1, #flows, STEP do
		local got = redis.call('HMGET', keys[F],
		    unpack(flows, i, math.min(i + STEP - 1, #flows)))

		for j = 1, #got do
			if got[j] then
				finish[flows[i + j - 1]] =
				    math.max(v, tonumber(got[j]))
			end
		end
	end
	for i = 1, #members do
		local m = members[i]
		local flow, flags = string.sub(m, 17, 20), string.byte(m, 21)
		local start = finish[flow]

		finish[flow] = start + 2 ^ -math.floor(flags / 16)
		adds[2 * i - 1] = start - flags % 2
		adds[2 * i] = m
	end
	for i = 1, #flows do
		sets[2 * i - 1] = flows[i]
		sets[2 * i] = finish[flows[i]]
	end
	call_all('ZADD', keys[R], adds, 2)
	call_all('HSET', keys[F], sets, 2)
end

-- To the head of the ready ones, not charged again.
local function front(keys, members)
	local v = virtual_time(keys)
	local adds = {}

	for _, m in ipairs(members) do
		adds[#adds + 1] = v
		adds[#adds + 1] = m
	end
	call_all('ZADD', keys[R], adds, 2)
end

local function wake(keys, argv)
	if redis.call('HDEL', keys[M], 'idle') == 1 then
		redis.call('PUBLISH', argv[2],
		    string.match(keys[M], '{(.-)}'))
	end
end

local function add_later(keys, later)
	call_all('ZADD', keys[T], later, 2)
end

-- ARGV from first on: member, delay in ms, member, delay, ...
local function read_delays(argv, first)
	local members, delays = {}, {}

	for i = first, #argv, 2 do
		members[#members + 1] = argv[i]
		delays[#delays + 1] = tonumber(argv[i + 1])
	end
	return members, delays
end

local function slice(argv, first)
	local out = {}

	for i = first, #argv do
		out[#out + 1] = argv[i]
	end
	return out
end

-- offset, channel, {member, delay}...
-- Puts those that have no job. Returns how many.
local function enqueue(keys, argv)
	local members, delays = read_delays(argv, 3)
	local r = scores(keys[R], members)
	local t = scores(keys[T], members)
	local h = scores(keys[H], members)
	local p = scores(keys[P], members)
	local seen, ready, later, added = {}, {}, {}, 0
	local now = now_ms(argv)

	for i, m in ipairs(members) do
		if not (r[i] or t[i] or h[i] or p[i] or seen[m]) then
			seen[m] = true
			added = added + 1
			if delays[i] > 0 then
				later[#later + 1] = now + delays[i]
				later[#later + 1] = m
			else
				ready[#ready + 1] = m
			end
		end
	end
	put(keys, ready)
	add_later(keys, later)
	if added > 0 then
		wake(keys, argv)
	end
	return added
end

-- What is due moves from later to ready.
local function ripen(keys, now, most)
	local due = redis.call('ZRANGEBYSCORE', keys[T], '-inf', now, 'LIMIT',
	    0, most)

	if #due > 0 then
		put(keys, due)
		call_all('ZREM', keys[T], due, 1)
	end
end

-- ms until the head of later is due, at least 1; 0: there is none.
local function until_due(keys, now)
	local head = redis.call('ZRANGE', keys[T], 0, 0, 'WITHSCORES')

	if #head == 0 then
		return 0
	end
	return math.max(1, tonumber(head[2]) - now)
end

-- Whether this worker is so far ahead that another one may go first. Lifts the
-- lowest, which may be gone, so that nobody yields to it twice.
local function yields(keys, worker, mine)
	local low

	if redis.call('ZCARD', keys[R]) >= SHORT then
		return false
	end
	low = redis.call('ZRANGE', keys[S], 0, 0, 'WITHSCORES')
	if #low == 0 or mine - tonumber(low[2]) <= AHEAD then
		return false
	end
	redis.call('ZADD', keys[S], mine, low[1])
	return true
end

-- A worker that is new here starts with the one that has had the most.
local function share_of(keys, worker)
	local mine = redis.call('ZSCORE', keys[S], worker)
	local top

	if mine then
		return tonumber(mine)
	end
	top = redis.call('ZRANGE', keys[S], -1, -1, 'WITHSCORES')
	mine = #top == 0 and 0 or tonumber(top[2])
	redis.call('ZADD', keys[S], mine, worker)
	return mine
end

-- offset, channel, worker, n, weight
-- Returns yield (0 or 1), ms until the head of later, then member, tag, ...
local function lease(keys, argv)
	local worker, n = argv[3], tonumber(argv[4])
	local now = now_ms(argv)
	local mine, got
	local held, out = {}, { 0, 0 }

	if n == 0 then
		out[2] = until_due(keys, now)
		return out
	end
	mine = share_of(keys, worker)
	if yields(keys, worker, mine) then
		return { 1, 0 }
	end
	ripen(keys, now, math.max(n, 128))
	got = redis.call('ZPOPMIN', keys[R], n)
	for i = 1, #got, 2 do
		held[#held + 1] = worker
		held[#held + 1] = got[i]
		out[#out + 1] = got[i]
		out[#out + 1] = got[i + 1]
	end
	if #got > 0 then
		call_all('ZADD', keys[H], held, 2)
		redis.call('HSET', keys[M], 'V',
		    math.max(virtual_time(keys), tonumber(got[#got])))
		redis.call('ZADD', keys[S],
		    mine + #got / 2 / tonumber(argv[5]), worker)
	end
	if #got / 2 < n then
		redis.call('HSET', keys[M], 'idle', 1)
		redis.call('DEL', keys[F])
	end
	out[2] = until_due(keys, now)
	return out
end

-- Of the members those that the worker holds.
local function held_by(keys, worker, members)
	local h = scores(keys[H], members)
	local mine = {}

	for i, m in ipairs(members) do
		if h[i] and tonumber(h[i]) == tonumber(worker) then
			mine[#mine + 1] = m
		end
	end
	return mine
end

-- offset, channel, worker, member...
-- These are over. Returns how many were held by the worker.
local function ack(keys, argv)
	local mine = held_by(keys, argv[3], slice(argv, 4))

	call_all('ZREM', keys[H], mine, 1)
	return #mine
end

-- offset, channel, worker, {member, delay}...
-- Gives back: those held by the worker, and those that are nowhere.
local function defer(keys, argv)
	local members, delays = read_delays(argv, 4)
	local r = scores(keys[R], members)
	local t = scores(keys[T], members)
	local h = scores(keys[H], members)
	local p = scores(keys[P], members)
	local worker, now = tonumber(argv[3]), now_ms(argv)
	local gone, later, ready = {}, {}, {}
	local count = 0

	for i, m in ipairs(members) do
		local mine = h[i] and tonumber(h[i]) == worker

		if mine or not (r[i] or t[i] or h[i] or p[i]) then
			count = count + 1
			if mine then
				gone[#gone + 1] = m
			end
			if delays[i] > 0 then
				later[#later + 1] = now + delays[i]
				later[#later + 1] = m
			else
				ready[#ready + 1] = m
			end
		end
	end
	call_all('ZREM', keys[H], gone, 1)
	add_later(keys, later)
	front(keys, ready)
	if count > 0 then
		wake(keys, argv)
	end
	return count
end

-- offset, channel, dead worker, max
-- Gives back what a dead worker holds. Returns how many; call until 0.
local function reap(keys, argv)
	local dead = argv[3]
	local got = redis.call('ZRANGEBYSCORE', keys[H], dead, dead, 'LIMIT',
	    0, argv[4])

	redis.call('ZREM', keys[S], dead)
	redis.call('HDEL', keys[M], 'why:' .. dead)
	if #got > 0 then
		call_all('ZREM', keys[H], got, 1)
		front(keys, got)
		wake(keys, argv)
	end
	return #got
end

-- offset, channel, worker, member...
-- What the worker holds is exactly this. Returns those that another holds.
local function sync(keys, argv)
	local worker, members = argv[3], slice(argv, 4)
	local h = scores(keys[H], members)
	local keep, take, others, lost = {}, {}, {}, {}

	for i, m in ipairs(members) do
		if h[i] and tonumber(h[i]) ~= tonumber(worker) then
			others[#others + 1] = m
		else
			keep[m] = true
			take[#take + 1] = worker
			take[#take + 1] = m
		end
	end
	for _, m in ipairs(redis.call('ZRANGEBYSCORE', keys[H], worker,
	    worker)) do
		if not keep[m] then
			lost[#lost + 1] = m
		end
	end
	call_all('ZREM', keys[R], members, 1)
	call_all('ZREM', keys[T], members, 1)
	call_all('ZREM', keys[P], members, 1)
	call_all('ZADD', keys[H], take, 2)
	if #lost > 0 then
		call_all('ZREM', keys[H], lost, 1)
		front(keys, lost)
		wake(keys, argv)
	end
	return others
end

-- offset, channel, worker, hold, member...
-- The worker's own wait for the end of a hold. Returns how many.
local function park(keys, argv)
	local mine = held_by(keys, argv[3], slice(argv, 5))
	local adds = {}

	for _, m in ipairs(mine) do
		adds[#adds + 1] = argv[4]
		adds[#adds + 1] = m
	end
	call_all('ZREM', keys[H], mine, 1)
	call_all('ZADD', keys[P], adds, 2)
	return #mine
end

-- offset, channel, hold, max
-- A hold is over. Returns how many came back; call until 0.
local function unpark(keys, argv)
	local got = redis.call('ZRANGEBYSCORE', keys[P], argv[3], argv[3],
	    'LIMIT', 0, argv[4])

	if #got > 0 then
		call_all('ZREM', keys[P], got, 1)
		put(keys, got)
		wake(keys, argv)
	end
	return #got
end

-- offset, channel, member
-- Takes a job out wherever it waits. Returns 0 when it is held, else 1.
local function drop(keys, argv)
	local m = argv[3]

	if redis.call('ZSCORE', keys[H], m) then
		return 0
	end
	redis.call('ZREM', keys[R], m)
	redis.call('ZREM', keys[T], m)
	redis.call('ZREM', keys[P], m)
	return 1
end

-- The different scores in a zset: few, however many members there are.
local function scores_in(key)
	local out, from = {}, '-inf'

	while true do
		local got = redis.call('ZRANGEBYSCORE', key, from, '+inf',
		    'WITHSCORES', 'LIMIT', 0, 1)

		if #got == 0 then
			return out
		end
		out[#out + 1] = tonumber(got[2])
		from = '(' .. got[2]
	end
end

-- offset, channel
-- Returns the workers that hold something.
local function holders(keys, argv)
	return scores_in(keys[H])
end

-- offset, channel
-- Returns the holds for which something is parked.
local function parked(keys, argv)
	return scores_in(keys[P])
end

-- offset, channel
-- Returns the sizes of r, t, h, p, the mark, then worker, why, ...
local function state(keys, argv)
	local out = {
		redis.call('ZCARD', keys[R]), redis.call('ZCARD', keys[T]),
		redis.call('ZCARD', keys[H]), redis.call('ZCARD', keys[P]),
		redis.call('HGET', keys[M], 'mark') or ''
	}
	local all = redis.call('HGETALL', keys[M])

	for i = 1, #all, 2 do
		local worker = string.match(all[i], '^why:(%d+)$')

		if worker then
			out[#out + 1] = worker
			out[#out + 1] = all[i + 1]
		end
	end
	return out
end

redis.register_function('vp1_enqueue', enqueue)
redis.register_function('vp1_lease', lease)
redis.register_function('vp1_ack', ack)
redis.register_function('vp1_defer', defer)
redis.register_function('vp1_reap', reap)
redis.register_function('vp1_sync', sync)
redis.register_function('vp1_park', park)
redis.register_function('vp1_unpark', unpark)
redis.register_function('vp1_drop', drop)
redis.register_function('vp1_holders', holders)
redis.register_function('vp1_parked', parked)
redis.register_function('vp1_state', state)
