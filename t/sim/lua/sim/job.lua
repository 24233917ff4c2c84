-- Jobs: what async submits become, told in the shape that the configuration
-- says.  A job ends when it is due, by a timer, or by whoever asks first; its
-- bill is taken at that moment, once.

local cjson = require "cjson"
local bill = require "sim.bill"
local callback = require "sim.callback"
local reply = require "sim.reply"
local result = require "sim.result"
local state = require "sim.state"

local _M = {}

local dict = ngx.shared.sim

-- ends: whether they are billed unless it is said, and told by callbacks

local ends = {
    completed = { billed = true, told = true, word = "completed" },
    empty = { billed = false, told = true, word = "completed" },
    failed = { billed = false, told = true, word = "failed" },
    expired = { billed = false, told = true, word = "expired" },
    gone = { billed = false },
    never = { billed = false },
}

local errors = {
    failed = { "GENERATION_FAILED", "The pictures could not be made." },
    expired = { "JOB_EXPIRED", "The job took too long." },
}


local function key_of(name, id)
    return "job:" .. name .. ":" .. id
end


local function read(name, id)
    local text = dict:get(key_of(name, id))

    return text and cjson.decode(text)
end


local function save(job)
    dict:set(key_of(job.name, job.id), cjson.encode(job))
end


-- members are { name, JSON }

local function object(members)
    local out = {}

    for i, member in ipairs(members) do
        out[i] = cjson.encode(member[1]) .. ":" .. member[2]
    end

    return "{" .. table.concat(out, ",") .. "}"
end


local function word_of(job)
    if job.ended and ends[job.ends].word then
        return ends[job.ends].word
    end

    local now = ngx.now()

    return now - job.submitted < job.delay / 2 and "queued" or "in_progress"
end


local function spoken(word)
    return cjson.encode(state.config().job_words[word] or word)
end


local function poll_url(id)
    local config = state.config()
    local path = "/v1/phota/jobs/" .. id

    return cjson.encode(config.poll_url == "path" and path
                        or config.url_base .. path)
end


-- what a submit is answered with

function _M.handle(job)
    local members = { { "job_id", cjson.encode(job.id) },
                      { "status", spoken(word_of(job)) } }
    local config = state.config()

    if config.poll_url ~= "none" then
        members[#members + 1] = { "poll_url", poll_url(job.id) }
    end

    if config.job_echo and job.client_request_id then
        members[#members + 1] = { "client_request_id",
                                  cjson.encode(job.client_request_id) }
    end

    return reply.json(202, object(members))
end


local function add_error(members, word, names)
    local e = errors[word]
    local form = state.config().job_error

    if not e or form == "none" then
        return
    end

    if form == "flat" then
        members[#members + 1] = { "code", cjson.encode(e[1]) }
        members[#members + 1] = { "detail", cjson.encode(e[2]) }
        return
    end

    members[#members + 1] = { names.error or "error", form == "string"
                              and cjson.encode(e[2])
                              or object({ { "code", cjson.encode(e[1]) },
                                          { "detail", cjson.encode(e[2]) } }) }
end


-- what is told of it: now, or as if its state were another

local function text_of(job, word)
    local config = state.config()
    local names = config.job_names
    local members = { { names.job_id or "job_id", cjson.encode(job.id) },
                      { names.status or "status", spoken(word) } }

    if config.job_echo and job.client_request_id then
        members[#members + 1] = { "client_request_id",
                                  cjson.encode(job.client_request_id) }
    end

    add_error(members, word, names)

    if word == "completed" and job.result then
        if config.job_shape == "flat" then
            return object(members):sub(1, -2) .. "," .. job.result:sub(2)
        end

        members[#members + 1] = { names.result or "result", job.result }
    end

    local text = object(members)

    if config.job_shape == "data" or config.job_shape == "job" then
        return object({ { config.job_shape, text } })
    end

    return text
end


local function body_of(job, word)
    local kind = state.config().callback_body

    if kind == "thin" then
        return object({ { "job_id", cjson.encode(job.id) },
                        { "status", spoken(word) } })

    elseif kind == "event" then
        return object({ { "type", cjson.encode("job." .. word) },
                        { "data", text_of(job, word) } })
    end

    return text_of(job, word)
end


local function call_back(job, word, seconds)
    callback.send({ name = job.name, id = job.id, word = word,
                    url = job.callback_url, body = body_of(job, word) },
                  seconds)
end


local function tell(job)
    local mode = job.callback
    local late = (job.late or 0) / 1000

    if not job.callback_url or mode == "lost" or not ends[job.ends].told then
        return
    end

    call_back(job, word_of(job), late)

    if mode == "twice" then
        call_back(job, word_of(job), late + 0.05)

    elseif mode == "reordered" then
        call_back(job, "in_progress", late + 0.05)
    end
end


local function finish(job)
    local billed = job.charge

    if billed == nil then
        billed = ends[job.ends].billed
    end

    if job.ends == "empty" then
        job.work.n, job.work.counts = 0, {}
    end

    if job.ends == "completed" or job.ends == "empty" then
        job.result = table.concat(result.pictures(job.work))
    end

    if billed and job.bill.micro then
        bill.take(job.bill)
        bill.release(job.name, job.reserved - job.bill.micro)
    else
        bill.release(job.name, job.reserved)
    end

    job.ended = ngx.now()
    save(job)
    dict:incr("jobs_open", -1)
    tell(job)
end


-- the job as it is by now; whoever is second waits for the first

local function present(name, id, is_due)
    local job = read(name, id)

    if not job or job.ended or job.ends == "never"
       or not is_due and ngx.now() < job.submitted + job.delay
    then
        return job
    end

    if dict:add("job_end:" .. name .. ":" .. id, true) then
        finish(job)
        return job
    end

    repeat
        ngx.sleep(0.001)
        job = read(name, id)
    until not job or job.ended

    return job
end


local function due(premature, name, id)
    if not premature then
        present(name, id, true)
    end
end


-- all that is due is on the bill then

function _M.settle()
    for _, key in ipairs(dict:get_keys(0)) do
        local name, id = key:match("^job:([^:]+):(.+)$")

        if name then
            present(name, id)
        end
    end
end


-- Open jobs end now, before they are due: an account's, or one of them.

function _M.hurry(name, id)
    for _, key in ipairs(dict:get_keys(0)) do
        local of, job = key:match("^job:([^:]+):(.+)$")

        if of and of == (name or of) and job == (id or job) then
            present(of, job, true)
        end
    end
end


-- The job that a request is known by, or a new one.  new: name, request_id,
-- client_request_id, callback_url, work, bill, reserved, and options: delay
-- (ms), ends, charge, callback, late.  The second value: it was there before.

function _M.submit(id, new)
    local mark = new.client_request_id
                 and "job_of:" .. new.name .. ":" .. new.client_request_id

    new.id = id
    new.submitted = ngx.now()
    new.delay = new.delay / 1000
    save(new)

    if mark and not dict:add(mark, id) then
        dict:delete(key_of(new.name, id))
        return _M.known(new.name, new.client_request_id), true
    end

    if new.ends ~= "never" then
        dict:incr("jobs_open", 1, 0)
        ngx.timer.at(new.delay, due, new.name, id)
    end

    return present(new.name, id)
end


function _M.known(name, client_request_id)
    local id = dict:get("job_of:" .. name .. ":" .. client_request_id)

    return id and read(name, id)
end


function _M.poll(call, id)
    local job = present(call.name, id)

    if not job or job.ended and job.ends == "gone" then
        return reply.problem(call, 404)
    end

    return reply.json(job.ended and 200 or state.config().job_pending,
                      text_of(job, word_of(job)))
end


-- a callback more, whatever the job's state; what is wrong

function _M.again(name, id, word, seconds)
    local job = present(name, id)

    if not job or not job.callback_url then
        return "no such job, or it has no callback_url"
    end

    call_back(job, word or word_of(job), seconds)
end


-- of an account, as the control path tells them

function _M.list()
    local list = {}

    for _, key in ipairs(dict:get_keys(0)) do
        local name, id = key:match("^job:([^:]+):(.+)$")
        local job = name and present(name, id)

        if job then
            list[#list + 1] = {
                job_id = id, key = name, ends = job.ends,
                status = job.ended and job.ends == "gone" and "gone"
                         or word_of(job),
                ended = job.ended ~= nil, submitted = job.submitted,
                client_request_id = job.client_request_id,
                callback_url = job.callback_url, request_id = job.request_id,
            }
        end
    end

    table.sort(list, function(a, b) return a.submitted < b.submitted end)

    return list
end


_M.ends = ends


return _M
