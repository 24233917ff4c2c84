-- Answers: whole ones, and every way in which one can go wrong on its way.

local cjson = require "cjson"
local state = require "sim.state"

local _M = {}

local errors = {
    [400] = { "CONTENT_MODERATION", "The request was blocked." },
    [401] = { "UNAUTHORIZED", "Missing or invalid API key." },
    [402] = { "INSUFFICIENT_CREDITS", "The credit balance is too low." },
    [404] = { "NOT_FOUND", "Resource not found." },
    [429] = { "RATE_LIMITED", "Too many requests." },
    [500] = { "INTERNAL_ERROR", "Internal server error." },
    [502] = { "BAD_GATEWAY", "Bad gateway." },
    [503] = { "SERVICE_UNAVAILABLE", "Temporarily unavailable." },
    [504] = { "TIMEOUT", "The request hit its time limit." },
}


function _M.json(status, text)
    return { status = status, chunks = { text } }
end


function _M.problem(call, status, code, detail)
    local e = errors[status] or { "ERROR", "Status " .. status .. "." }

    return _M.json(status, cjson.encode({
        code = code or e[1],
        detail = detail or e[2],
        request_id = call.id,
    }))
end


function _M.detail(status, text)
    return _M.json(status, cjson.encode({ detail = text }))
end


-- of a body that schema.read() doesn't take

function _M.refusal(call, status, what, sentence)
    if status == 422 then
        return _M.json(422, cjson.encode({ detail = what }))
    end

    return _M.problem(call, status, what, sentence)
end


local function length(chunks)
    local n = 0

    for i = 1, #chunks do
        n = n + #chunks[i]
    end

    return n
end


local function start(a, with_length)
    ngx.status = a.status
    ngx.header["Content-Type"] = a.type or "application/json"

    for name, value in pairs(a.headers or {}) do
        ngx.header[name] = value
    end

    if with_length then
        ngx.header["Content-Length"] = length(a.chunks)
    end
end


local function whole(a)
    start(a, true)
    ngx.print(a.chunks)
end


local function html(status)
    return {
        status = status,
        type = "text/html; charset=UTF-8",
        chunks = { "<html><head><title>", tostring(status), "</title></head>",
                   "<body><h1>Error: Server Error</h1></body></html>\n" },
    }
end


local function failure(call, status)
    if call.fault.html then
        return html(status)
    end

    local a = _M.problem(call, status, nil,
                         call.fault.long and ("x"):rep(call.fault.long))

    if status == 429 then
        a.headers = { ["Retry-After"] = "1" }
    end

    return a
end


-- sends what stands before the cut and waits until the kernel has it

local function first_part(a, cut, with_length)
    local text = table.concat(a.chunks)

    start(a, with_length)
    ngx.print(text:sub(1, math.min(cut or math.floor(#text / 2), #text)))
    ngx.flush(true)

    return text
end


local shapes = {}


function shapes.status(call, a)
    local status = call.fault.value

    if status < 300 then
        a.status = status
        return whole(a)
    end

    return whole(failure(call, status))
end


function shapes.truncate(call, a)
    first_part(a, call.fault.value, true)
    return ngx.exit(ngx.ERROR)
end


function shapes.chunked(_, a)
    local text = first_part(a, nil, false)
    ngx.print(text:sub(math.floor(#text / 2) + 1))
end


function shapes.chunkedcut(call, a)
    first_part(a, call.fault.value or math.huge, false)
    return ngx.exit(ngx.ERROR)
end


function shapes.slow(call, a)
    local text = first_part(a, nil, true)
    ngx.sleep(call.fault.value / 1000)
    ngx.print(text:sub(math.floor(#text / 2) + 1))
end


function shapes.reset()
    return ngx.exit(444)
end


-- time for the peer to read: a RST may overtake what it hasn't read yet

function shapes.resetlate(call, a)
    first_part(a, call.fault.value, true)
    ngx.sleep(0.02)
    return ngx.exit(444)
end


function shapes.close()
    return ngx.exit(ngx.ERROR)
end


function shapes.hang()
    return ngx.exec("@hang")
end


function shapes.garbage()
    return whole(_M.json(200, "{\"known_subjects\": {\"counts\": {}}, \"ima"))
end


function shapes.redirect(_, a)
    a.status = 302
    a.chunks = { "" }
    a.headers = { ["Location"] = state.config().url_base .. "/elsewhere" }
    return whole(a)
end


function shapes.bigheader(_, a)
    a.headers = { ["X-Phota-Debug"] = string.rep("x", 102400) }
    return whole(a)
end


function _M.send(call, a)
    local shape = shapes[call.fault.kind]

    if shape then
        return shape(call, a)
    end

    return whole(a)
end


function _M.work(call)
    local latency = call.fault.latency or state.config().latency

    if type(latency) == "string" then
        local low, high = latency:match("^(%d+)-(%d+)$")

        latency = math.random(tonumber(low), tonumber(high))
    end

    if latency > 0 then
        ngx.sleep(latency / 1000)
    end
end


function _M.early()
    local call = { id = "req_" .. ngx.var.request_id, fault = {} }

    whole(failure(call, tonumber(ngx.var.sim_early)))
end


function _M.hang()
    ngx.sleep(700)
    return ngx.exit(444)
end


return _M
