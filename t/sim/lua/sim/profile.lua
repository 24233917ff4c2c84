-- Profiles: what an account has trained, how far each is, and what becomes of
-- the bill when it fails.  Their state is a function of the time.

local cjson = require "cjson"
local bill = require "sim.bill"
local faults = require "sim.fault"
local image = require "sim.image"
local reply = require "sim.reply"
local schema = require "sim.schema"
local state = require "sim.state"

local _M = {}

local dict = ngx.shared.sim

local ends = { READY = "", ERROR = "No face was found in the photos.",
               INACTIVE = "The profile is not in use." }

-- the stages of a training, and where each begins

local stages = { { "VALIDATING", 0 }, { "QUEUING", 0.2 },
                 { "IN_PROGRESS", 0.4 } }


local function key_of(name, id)
    return "profile:" .. name .. ":" .. id
end


local function read(name, id)
    local text = dict:get(key_of(name, id))

    return text and cjson.decode(text)
end


local function save(profile)
    dict:set(key_of(profile.name, profile.id), cjson.encode(profile))
end


local function status_of(profile)
    local passed = ngx.now() - profile.created
    local now = stages[1][1]

    if passed >= profile.delay then
        return profile.ends
    end

    for _, stage in ipairs(stages) do
        now = passed >= profile.delay * stage[2] and stage[1] or now
    end

    return now
end


-- a training that has failed is given back, once, when the options say so

local function settle(profile)
    local b = profile.bill

    if not b or profile.refund == "none" or status_of(profile) ~= "ERROR"
       or not dict:add("profile_end:" .. profile.name .. ":" .. profile.id, 1)
    then
        return
    end

    if profile.refund == "removed" then
        bill.remove(b)
    else
        bill.give_back(b)
    end

    bill.release(profile.name, b.micro)
end


local function due(premature, name, id)
    local profile = not premature and read(name, id)

    if profile then
        settle(profile)
    end
end


-- every profile: function(profile)

local function each(handler)
    for _, key in ipairs(dict:get_keys(0)) do
        local name, id = key:match("^profile:([^:]+):(.+)$")
        local profile = name and read(name, id)

        if profile then
            handler(profile)
        end
    end
end


-- all that is due is on the bill then

function _M.settle()
    each(settle)
end


-- new: name, id, tag, delay (ms), ends, refund, bill

function _M.put(new)
    new.created = ngx.now()
    new.delay = new.delay / 1000
    save(new)

    if new.bill and new.ends == "ERROR" then
        ngx.timer.at(new.delay, due, new.name, new.id)
    end
end


-- a training ends now, whenever it was to

function _M.hurry(name, id)
    local profile = read(name, id)

    if profile then
        profile.delay = 0
        save(profile)
        settle(profile)
    end
end


-- Every id that begins with prof_ exists, so that tests name what they like;
-- unless it was deleted, or the configuration is strict.  The account's own, a
-- stand-in, or nil.

local function find(name, id)
    local profile = read(name, id)

    if profile then
        return not profile.deleted and profile or nil
    end

    if state.config().strict_profiles or not id:find("^prof_") then
        return nil
    end

    return { name = name, id = id, created = 0, delay = 0, ends = "READY" }
end


-- the answer to a call that names one which isn't the account's; nil: all are

function _M.refusal(call, ids)
    local strict = state.config().strict_profiles

    if not strict then
        return nil
    end

    for _, id in ipairs(ids) do
        if not find(call.name, id) then
            local status = strict == true and 404 or strict

            if status == 422 then
                return reply.json(422, cjson.encode({ detail = { {
                    type = "value_error", loc = { "body", "profile_ids" },
                    msg = "Unknown profile: " .. id,
                } } }))
            end

            return reply.problem(call, status, "PROFILE_NOT_FOUND",
                                 "Profile " .. id .. " not found.")
        end
    end
end


local function train(call, body, micro)
    local options = call.options
    local id = "prof_" .. ngx.var.request_id
    local b = { request_id = call.id, name = call.name,
                operation = "training", outputs = 1, identity = 0,
                micro = micro }

    if faults.billed(call.fault) then
        bill.take(b)
    else
        bill.release(call.name, micro)
        b = nil
    end

    _M.put({
        name = call.name, id = id, tag = body.tag, bill = b,
        delay = options.delay or state.config().training_delay,
        ends = ends[(options.ends or ""):upper()] and options.ends:upper()
               or state.config().training_end,
        refund = options.refund or state.config().training_refund,
    })

    return reply.json(200, cjson.encode({ profile_id = id }))
end


function _M.add(call)
    local body, status, what, sentence = schema.read(call.body, "training")

    if not body then
        return reply.send(call, reply.refusal(call, status, what, sentence))
    end

    local micro = state.config().rates[body.training_tier or "standard"].base

    if not bill.reserve(call.name, micro) then
        return reply.send(call, reply.problem(call, 402))
    end

    reply.work(call)

    if not faults.works(call.fault) then
        bill.release(call.name, micro)
        return reply.send(call, reply.problem(call, 500))
    end

    return reply.send(call, train(call, body, micro))
end


function _M.ids(call)
    local tag = ngx.req.get_uri_args(0).tag
    local list = {}

    if tag and (type(tag) ~= "string" or not schema.is_tag(tag)) then
        return reply.json(422, cjson.encode({ detail = { {
            type = "string_too_short", loc = { "query", "tag" },
            msg = "String should have 1 to 128 characters",
        } } }))
    end

    each(function(profile)
        if profile.name == call.name and not profile.deleted
           and (not tag or profile.tag == tag)
        then
            list[#list + 1] = profile
        end
    end)

    table.sort(list, function(a, b)
        return a.created < b.created or a.created == b.created and a.id < b.id
    end)

    for i, profile in ipairs(list) do
        list[i] = cjson.encode(state.config().profile_elements == "strings"
                               and profile.id or {
            profile_id = profile.id,
            status = status_of(profile),
            tag = profile.tag or cjson.null,
        })
    end

    return reply.json(200, "{\"profiles\":[" .. table.concat(list, ",")
                           .. "]}")
end


-- what: "status" or "profile_picture"

function _M.get(call, id, what)
    local profile = find(call.name, id)

    if not profile then
        return reply.problem(call, 404)
    end

    settle(profile)

    if what == "status" then
        local status = status_of(profile)

        return reply.json(200, cjson.encode({ profile_id = id,
                                              status = status,
                                              message = ends[status] or "" }))
    end

    return { status = 200, type = "image/jpeg", chunks = { image.portrait() } }
end


function _M.delete(call, id)
    local profile = find(call.name, id)

    if not profile then
        return reply.problem(call, 404)
    end

    if faults.works(call.fault) then
        settle(profile)
        profile.deleted = true
        save(profile)
    end

    return reply.json(200, cjson.encode({ profile_id = id, status = "ok" }))
end


-- of all accounts, as the control path tells them

function _M.list()
    local list = {}

    each(function(profile)
        list[#list + 1] = { key = profile.name, profile_id = profile.id,
                            tag = profile.tag, status = status_of(profile),
                            deleted = profile.deleted or false }
    end)

    return list
end


_M.ends = ends


return _M
