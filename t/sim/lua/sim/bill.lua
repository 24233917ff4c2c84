-- The bill: what each key owes.  A line in bill.log is the truth that outlives
-- a restart; the counters in the shared dictionary are its sums.

local ffi = require "ffi"
local bit = require "bit"
local state = require "sim.state"

ffi.cdef[[
int open(const char *path, int flags, int mode);
long write(int fd, const void *buf, size_t n);
int truncate(const char *path, long length);
]]

local _M = {}

local dict = ngx.shared.sim
local sums = ngx.shared.sim_bill
local fd

-- the operation of a line that takes out the other one of its request

local REMOVED = "removed"

local O_WRONLY, O_CREAT, O_APPEND = 1, 64, 1024


local function path()
    return ngx.config.prefix() .. "bill.log"
end


local function add(name, calls, outputs, identity, micro)
    sums:incr(name .. ":calls", calls, 0)
    sums:incr(name .. ":outputs", outputs, 0)
    sums:incr(name .. ":identity_outputs", identity, 0)
    sums:incr(name .. ":amount_micro", micro, 0)
end


-- one write() a line, so that workers and a kill never tear one

local function append(line)
    if not fd then
        fd = ffi.C.open(path(), bit.bor(O_WRONLY, O_CREAT, O_APPEND), 420)
    end

    if ffi.C.write(fd, line, #line) ~= #line then
        ngx.log(ngx.ALERT, "bill.log: write failed")
    end
end


local function lines()
    local file = io.open(path())

    if not file then
        return function() end
    end

    local text = file:read("*a")
    file:close()

    return text:gmatch("([^,\n]+),([^,\n]+),([^,\n]+),([^,\n]+),"
                       .. "(%-?%d+),(%-?%d+),(%-?%d+)\n")
end


function _M.load()
    for _, _, name, _, outputs, identity, micro in lines() do
        micro = tonumber(micro)
        add(name, micro < 0 and 0 or 1, tonumber(outputs), tonumber(identity),
            micro)
    end
end


function _M.amount(rate, outputs, identity)
    return (outputs - identity) * rate.base + identity * rate.identity
end


-- false when the key's credit can't pay it; no credit set means no limit

function _M.reserve(name, micro)
    local key = "credit:" .. name

    if not dict:get(key) then
        return true
    end

    if dict:incr(key, -micro) < 0 then
        dict:incr(key, micro)
        return false
    end

    return true
end


function _M.release(name, micro)
    local key = "credit:" .. name

    if micro ~= 0 and dict:get(key) then
        dict:incr(key, micro)
    end
end


local function write(b, calls)
    local now = ngx.now()
    local time = os.date("!%Y-%m-%dT%H:%M:%S", math.floor(now))

    append(string.format("%s.%03dZ,%s,%s,%s,%d,%d,%d\n", time,
                         now % 1 * 1000, b.request_id, b.name, b.operation,
                         b.outputs, b.identity, b.micro))
    add(b.name, calls, b.outputs, b.identity, b.micro)
end


function _M.take(b)
    write(b, 1)
end


local function negative(b, operation)
    return { request_id = b.request_id, name = b.name, operation = operation,
             outputs = -b.outputs, identity = -b.identity, micro = -b.micro }
end


-- a line with a minus

function _M.give_back(b)
    write(negative(b, b.operation), 0)
end


-- as if it had never been there

function _M.remove(b)
    write(negative(b, REMOVED), 0)
end


function _M.report()
    local report = {}

    local function row(name)
        report[name] = report[name] or { calls = 0, outputs = 0,
                                         identity_outputs = 0,
                                         amount_micro = 0 }
        return report[name]
    end

    for name in pairs(state.config().keys) do
        row(name)
    end

    for _, key in ipairs(sums:get_keys(0)) do
        local name, field = key:match("^(.*):([^:]+)$")

        row(name)[field] = sums:get(key)
    end

    for _, r in pairs(report) do
        r.amount = state.usd(r.amount_micro)
    end

    return report
end


function _M.csv()
    local out = { "time,request_id,key,operation,outputs,identity_outputs,"
                  .. "amount\n" }

    local removed = {}

    for _, id, _, op in lines() do
        removed[id] = removed[id] or op == REMOVED
    end

    -- what is given back says no outputs

    for time, id, name, op, outputs, identity, micro in lines() do
        if not removed[id] then
            local minus = tonumber(micro) < 0

            out[#out + 1] = table.concat({ time, id, name, op,
                                           minus and 0 or outputs,
                                           minus and 0 or identity,
                                           state.usd(tonumber(micro)) }, ",")
                            .. "\n"
        end
    end

    return table.concat(out)
end


function _M.reset()
    ffi.C.truncate(path(), 0)

    for _, key in ipairs(sums:get_keys(0)) do
        sums:delete(key)
    end
end


return _M
