-- The calls that make pictures: what each costs, and its answer, at once or as
-- a job.

local bill = require "sim.bill"
local faults = require "sim.fault"
local image = require "sim.image"
local job = require "sim.job"
local profile = require "sim.profile"
local reply = require "sim.reply"
local result = require "sim.result"
local schema = require "sim.schema"
local state = require "sim.state"

local _M = {}


-- where they are no fields they can be anything

local function text(value, preset)
    return type(value) == "string" and value or preset
end


local function rate_of(operation, body)
    local rates = state.config().rates
    local model = operation .. "/" .. text(body.base_model, "nb2")

    return rates[model .. "/" .. text(body.resolution, "1K")] or rates[model]
           or rates[operation]
end


local function charge_of(call, work)
    return { request_id = call.id, name = call.name,
             operation = call.operation, outputs = work.n,
             identity = work.identity, micro = work.micro }
end


-- a repeated client_request_id is the job it was, and costs nothing

local function before(call, body)
    return body.async and body.client_request_id
           and job.known(call.name, body.client_request_id)
end


local function submit(call, body, work, reserved)
    local config = state.config()
    local options = call.options
    local empty = work.n == 0 or call.fault.kind == "emptyimages"

    -- a submit that failed left no job

    if not faults.works(call.fault) and not empty then
        reply.work(call)
        bill.release(call.name, reserved)
        return reply.send(call, reply.problem(call, 500))
    end

    work.mode = config.job_result == "bytes" and "bytes" or "urls"
    work.silent = not config.job_subjects

    if config.job_result == "images" then
        work.fault = "imagesurls"
    end

    local charge = options.charge

    if charge == nil then
        charge = call.fault.bill
    end

    local new, known = job.submit("job_" .. ngx.var.request_id, {
        name = call.name, request_id = call.id, work = work,
        client_request_id = body.client_request_id,
        callback_url = body.callback_url,
        bill = charge_of(call, work), reserved = reserved,
        delay = options.delay or config.job_delay,
        ends = empty and "empty" or job.ends[options.ends] and options.ends
               or "completed",
        charge = charge, callback = options.callback, late = options.late,
    })

    if known then
        bill.release(call.name, reserved)
    end

    reply.work(call)

    return reply.send(call, job.handle(new))
end


local function deliver(call, work, reserved)
    reply.work(call)

    if work.n > 0 and faults.billed(call.fault) then
        bill.take(charge_of(call, work))
        reserved = reserved - work.micro
    end

    bill.release(call.name, reserved)

    return reply.send(call, { status = 200, chunks = result.pictures(work) })
end


-- whoever is told in no answer is seen by nobody, and isn't charged for

local function seen(call, body, ids)
    if call.fault.kind == "nosubjects"
       or body.async and not state.config().job_subjects
    then
        return {}

    elseif call.fault.kind == "guest" then
        return { "prof_guest" }
    end

    return ids
end


local function work_of(call, body, rate, size, ids)
    local n = body.num_output_images or 1

    if call.fault.kind == "partial" then
        n = math.min(n, call.fault.value)
    end

    local counts, identity = result.recognise(seen(call, body, ids), n)

    return {
        n = n, counts = counts, identity = identity,
        micro = bill.amount(rate, n, identity),
        mode = body.response_mode, format = body.output_format or "jpg",
        size = size, fault = call.fault.kind,
    }
end


function _M.make(call)
    local body, status, what, sentence = schema.read(call.body, call.operation)

    call.body = nil

    if not body then
        return reply.send(call, reply.refusal(call, status, what, sentence))
    end

    local old = before(call, body)

    if old then
        return reply.send(call, job.handle(old))
    end

    local size = ngx.var.http_x_sim_size or state.config().size

    if not image.sizes[size] then
        return reply.send(call, reply.detail(400, "unknown X-Sim-Size"))
    end

    local ids = result.named(body, call.operation)
    local refused = profile.refusal(call, ids)

    if refused then
        return reply.send(call, refused)
    end

    local n = body.num_output_images or 1
    local rate = rate_of(call.operation, body)
    local reserved = bill.amount(rate, n, n)

    if not bill.reserve(call.name, reserved) then
        return reply.send(call, reply.problem(call, 402))
    end

    local work = work_of(call, body, rate, size, ids)

    if body.async then
        return submit(call, body, work, reserved)
    end

    return deliver(call, work, reserved)
end


return _M
