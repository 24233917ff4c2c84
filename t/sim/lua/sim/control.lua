-- The control path: what a test asks and orders.

local cjson = require "cjson"
local bill = require "sim.bill"
local faults = require "sim.fault"
local image = require "sim.image"
local state = require "sim.state"

local _M = {}

local dict = ngx.shared.sim


local function give(status, text, kind)
    ngx.status = status
    ngx.header["Content-Type"] = kind or "application/json"
    ngx.header["Content-Length"] = #text
    ngx.print(text)
end


local function give_json(value)
    give(200, cjson.encode(value) .. "\n")
end


local function refuse(sentence)
    give(400, cjson.encode({ detail = sentence }) .. "\n")
end


local function read()
    ngx.req.read_body()

    local ok, body = pcall(cjson.decode, ngx.req.get_body_data() or "{}")

    return ok and type(body) == "table" and body or nil
end


-- each takes the configuration and a value, and returns what is wrong

local setters = {}


function setters.latency(config, value)
    local low, high = tostring(value):match("^(%d+)-(%d+)$")

    if type(value) ~= "number"
       and not (low and tonumber(low) <= tonumber(high))
    then
        return "latency is milliseconds or \"MIN-MAX\""
    end

    config.latency = value
end


function setters.size(config, value)
    if not image.sizes[value] then
        return "size is tiny, small, medium or large"
    end

    config.size = value
end


-- an identifier: from now on it is the same picture; null ends that

function setters.picture(config, value)
    if value == cjson.null then
        config.picture = nil
        return
    end

    if type(value) ~= "string" or not value:find("^[%x-]+$") then
        return "picture is made of hex digits and -"
    end

    config.picture = value
end


function setters.url_ttl(config, value)
    if type(value) ~= "number" then
        return "url_ttl is a number of seconds"
    end

    config.url_ttl = value
end


function setters.url_base(config, value)
    if type(value) ~= "string" or not value:find("^https?://") then
        return "url_base is a URL"
    end

    config.url_base = value
end


-- a key of null is withdrawn

function setters.keys(config, keys)
    for name, value in pairs(keys) do
        if not name:find("^[%w._-]+$") then
            return "a key's name is made of letters, digits and . _ -"
        end

        config.keys[name] = type(value) == "string" and value or nil
    end
end


function setters.rates(config, rates)
    for name, rate in pairs(rates) do
        local base = type(rate) == "table" and state.micro(rate.base)
        local identity = base and state.micro(rate.identity or rate.base)

        if not identity then
            return "a rate is {\"base\":USD,\"identity\":USD}"
        end

        config.rates[name] = { base = base, identity = identity }
    end
end


-- credit by key's name; null is no limit

function setters.credit(_, credit)
    for name, usd in pairs(credit) do
        if usd == cjson.null then
            dict:delete("credit:" .. name)

        elseif state.micro(usd) then
            dict:set("credit:" .. name, state.micro(usd))

        else
            return "credit is {\"KEY\":USD}"
        end
    end
end


local function set_config()
    local body = read()

    if not body then
        return refuse("the body isn't a JSON object")
    end

    local config = cjson.decode(dict:get("config"))

    for name, value in pairs(body) do
        if not setters[name] then
            return refuse("no such setting: " .. tostring(name))
        end

        local wrong = setters[name](config, value)

        if wrong then
            return refuse(wrong)
        end
    end

    state.change(config)
    give_json(config)
end


local function set_fault()
    local body = read()

    if not body then
        return refuse("the body isn't a JSON object")
    end

    if type(body.fault) ~= "string" then
        faults.clear()
        return give_json({ left = 0 })
    end

    local _, wrong = faults.parse(body.fault)

    if wrong then
        return refuse(wrong)
    end

    local count = body.count == "always" and 1e9 or tonumber(body.count or 1)
    local operation = body.operation

    if not count or count < 1 then
        return refuse("count is a number from 1, or \"always\"")
    end

    faults.queue(body.fault, count,
                 type(operation) == "string" and operation or nil)
    give_json({ left = faults.left() })
end


local function calls()
    local report = {
        received = 0,
        refused = 0,
        max_in_flight = 0,
        in_flight = dict:get("in_flight") or 0,
        faults_left = faults.left(),
        operations = { remix = 0, enhance = 0, edit = 0, generate = 0,
                       training = 0, other = 0 },
    }

    for name in pairs(report.operations) do
        report.operations[name] = dict:get("calls:operation:" .. name) or 0
    end

    for _, name in ipairs({ "received", "refused", "max_in_flight" }) do
        report[name] = dict:get("calls:" .. name) or 0
    end

    give_json(report)
end


-- pictures that were made last, whatever became of them on their way

local function delivered()
    local links = {}

    for _, path in ipairs(cjson.decode(dict:get("delivered") or "[]")) do
        links[#links + 1] = image.link(path)
    end

    give(200, #links > 0 and cjson.encode(links) or "[]")
end


local function reset()
    bill.reset()
    state.reset()
    give_json({ reset = true })
end


local routes = {
    ["GET bill"] = function() give_json(bill.report()) end,
    ["GET bill.csv"] = function() give(200, bill.csv(), "text/csv") end,
    ["GET calls"] = calls,
    ["GET last"] = function() give(200, dict:get("last") or "{}") end,
    ["GET delivered"] = delivered,
    ["GET config"] = function() give(200, dict:get("config")) end,
    ["POST config"] = set_config,
    ["POST fault"] = set_fault,
    ["POST reset"] = reset,
}


function _M.serve()
    local name = ngx.req.get_method() .. " "
                 .. ngx.var.uri:sub(#"/_sim/" + 1)
    local route = routes[name]

    if not route then
        return give(404, cjson.encode({ detail = "no such control: " .. name })
                         .. "\n")
    end

    route()
end


return _M
