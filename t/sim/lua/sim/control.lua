-- The control path: what a test asks and orders.

local cjson = require "cjson"
local bill = require "sim.bill"
local callback = require "sim.callback"
local faults = require "sim.fault"
local image = require "sim.image"
local job = require "sim.job"
local profile = require "sim.profile"
local settings = require "sim.config"
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


local function set_config()
    local body = read()

    if not body then
        return refuse("the body isn't a JSON object")
    end

    local config, wrong = settings.set(body)

    if not config then
        return refuse(wrong)
    end

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


local function settle()
    job.settle()
    profile.settle()
end


local function give_bill()
    settle()
    give_json(bill.report())
end


local function give_csv()
    settle()
    give(200, bill.csv(), "text/csv")
end


local function calls()
    settle()

    local report = {
        received = 0,
        refused = 0,
        max_in_flight = 0,
        in_flight = dict:get("in_flight") or 0,
        faults_left = faults.left(),
        operations = { remix = 0, enhance = 0, edit = 0, generate = 0,
                       training = 0, jobs = 0, profiles = 0, profile = 0,
                       secret = 0, models = 0, picture = 0,
                       ["photio-remix"] = 0, other = 0 },
        jobs_open = dict:get("jobs_open") or 0,
        callbacks_waiting = dict:get("callbacks_waiting") or 0,
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


local function list(rows)
    give(200, #rows > 0 and cjson.encode(rows) or "[]")
end


-- a callback of a job once more: {key, job_id, status, delay (ms)}

local function call_back()
    local body = read() or {}
    local wrong = job.again(tostring(body.key), tostring(body.job_id),
                            body.status, (tonumber(body.delay) or 0) / 1000)

    if wrong then
        return refuse(wrong)
    end

    give_json({ sent = true })
end


-- open jobs end at once: all, or {key, job_id}; or a training: {key, profile_id}

local function end_now()
    local body = read() or {}

    if body.profile_id then
        profile.hurry(tostring(body.key), body.profile_id)
    else
        job.hurry(body.key, body.job_id)
    end

    give_json({ jobs_open = dict:get("jobs_open") or 0 })
end


-- a profile that was there before: {key, profile_id, tag, status, delay (ms)}

local function set_profile()
    local body = read() or {}

    if type(body.key) ~= "string" or type(body.profile_id) ~= "string"
       or not profile.ends[body.status or "READY"]
    then
        return refuse("a profile has key and profile_id")
    end

    profile.put({ name = body.key, id = body.profile_id, tag = body.tag,
                  ends = body.status or "READY", refund = "none",
                  delay = tonumber(body.delay) or 0 })
    give_json({ profile_id = body.profile_id })
end


local function reset()
    bill.reset()
    state.reset()
    give_json({ reset = true })
end


local routes = {
    ["GET bill"] = give_bill,
    ["GET bill.csv"] = give_csv,
    ["GET calls"] = calls,
    ["GET last"] = function() give(200, dict:get("last") or "{}") end,
    ["GET delivered"] = delivered,
    ["GET jobs"] = function() list(job.list()) end,
    ["GET profiles"] = function() list(profile.list()) end,
    ["GET callbacks"] = function() give(200, callback.list()) end,
    ["POST callback"] = call_back,
    ["POST end"] = end_now,
    ["POST profile"] = set_profile,
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
