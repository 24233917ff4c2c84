-- Faults: what they are called, whether the work they spoil was billed, and
-- which one the present call gets: by its header, or by the queue that the
-- control path fills.  Beside them the options of what goes on after the
-- answer: jobs, callbacks, trainings.

local cjson = require "cjson"

local _M = {}

local dict = ngx.shared.sim


-- value: needs one; billed: what the bill does unless the fault says bill=

local kinds = {
    ok          = { billed = true },
    status      = { billed = false, value = true },
    early       = { billed = false, value = true },
    partial     = { billed = true, value = true },
    truncate    = { billed = true },
    chunked     = { billed = true },
    chunkedcut  = { billed = true },
    resetlate   = { billed = true },
    slow        = { billed = true, value = true },
    bigheader   = { billed = true },
    imagesurls  = { billed = true },
    nosubjects  = { billed = true },
    guest       = { billed = true },
    extra       = { billed = true },
    reset       = { billed = false },
    close       = { billed = false },
    hang        = { billed = false },
    emptyimages = { billed = false },
    garbage     = { billed = false },
    redirect    = { billed = false },
    photio_in_body = { billed = false, value = true },
}

-- of jobs and trainings: the words that they take, or "number"

local options = {
    delay = "number",
    late = "number",
    charge = { ["0"] = true, ["1"] = true },
    ["end"] = { completed = true, failed = true, expired = true, never = true,
                gone = true, empty = true, ready = true, error = true,
                inactive = true },
    callback = { once = true, twice = true, reordered = true, lost = true },
    refund = { none = true, negative = true, removed = true },
}

-- who can meet them

local makers = { remix = true, enhance = true, edit = true, generate = true,
                 training = true }

local function never_billed(status)
    return status >= 400 and status < 500 or status == 503 or status == 504
end


local function option(fault, name, word)
    local takes = options[name]
    local value = takes == "number" and tonumber(word)
                  or type(takes) == "table" and takes[word] and word

    if not value then
        return false
    end

    fault.options = fault.options or {}

    if name == "charge" then
        fault.options.charge = value == "1"
    else
        fault.options[name == "end" and "ends" or name] = value
    end

    return true
end


local function word_of(text)
    if text:match("^%d%d%d$") then
        return "status", text
    end

    return text:match("^([%a_]+)=?(%w*)$")
end


-- "truncate=100; bill=0; latency=50": one kind and its options

function _M.parse(text)
    local fault = {}

    for word in text:gmatch("[^;,%s]+") do
        local name, said = word_of(word)
        local value = tonumber(said)

        if name and option(fault, name, said) then
            value = nil

        elseif name == "bill" and value then
            fault.bill = value ~= 0

        elseif name == "latency" and value then
            fault.latency = value

        elseif name == "html" then
            fault.html = true

        elseif name == "long" and value then
            fault.long = value

        elseif name and kinds[name] and not fault.kind
               and (value or said == "" and not kinds[name].value)
        then
            fault.kind, fault.value = name, value

        else
            return nil, "unknown or misplaced fault: " .. word
        end
    end

    fault.kind = fault.kind or fault.html and "status" or "ok"

    if fault.html then
        fault.value = fault.value or 502
    end

    if (fault.kind == "status" or fault.kind == "early")
       and (fault.value < 200 or fault.value > 599)
    then
        return nil, "a status is 200 to 599"
    end

    return fault
end


function _M.billed(fault)
    if fault.kind == "status" or fault.kind == "early" then
        if never_billed(fault.value) then
            return false
        end

        if fault.bill == nil then
            return fault.value < 300
        end
    end

    if fault.bill ~= nil then
        return fault.bill
    end

    return kinds[fault.kind].billed
end


-- whether the work is done at all, billed or not

function _M.works(fault)
    return _M.billed(fault) or fault.kind ~= "status"
           and fault.kind ~= "early" and kinds[fault.kind].billed
end


function _M.queue(text, count, operation)
    local list = cjson.decode(dict:get("fault_queue") or "[]")
    local id = dict:incr("faults", 1, 0)

    dict:set("fault_left:" .. id, count)
    list[#list + 1] = { id = id, text = text, operation = operation,
                        makers = _M.parse(text).options and true or nil }
    dict:set("fault_queue", cjson.encode(list))
end


function _M.clear()
    dict:delete("fault_queue")
end


function _M.left()
    local left = 0

    for _, f in ipairs(cjson.decode(dict:get("fault_queue") or "[]")) do
        left = left + math.max(dict:get("fault_left:" .. f.id) or 0, 0)
    end

    return left
end


-- the decrement decides, so that N calls get it whatever worker they meet

local function from_queue(operation)
    local queue = dict:get("fault_queue")

    if not queue then
        return nil
    end

    for _, f in ipairs(cjson.decode(queue)) do
        if (f.operation == operation
            or not f.operation and operation ~= "picture"
               and (not f.makers or makers[operation]))
           and dict:incr("fault_left:" .. f.id, -1, 0) >= 0
        then
            return f.text
        end
    end

    return nil
end


function _M.find(operation)
    local text = ngx.var.http_x_sim_fault or from_queue(operation)

    if not text then
        return { kind = "ok" }
    end

    return _M.parse(text)
end


-- of a link: no header orders it

function _M.of_picture()
    local text = from_queue("picture")

    return text and _M.parse(text) or { kind = "ok" }
end


-- what was ordered for the job or training of a call, by X-Sim-Job or beside a
-- fault; or nil and what is wrong

function _M.options(call)
    local parsed, wrong = _M.parse(ngx.var.http_x_sim_job or "")

    if not parsed or parsed.kind ~= "ok" then
        return nil, wrong or "no option of a job: " .. parsed.kind
    end

    local all = parsed.options or {}

    for name, value in pairs(call.fault.options or {}) do
        all[name] = value
    end

    return all
end


return _M
