-- The settings that the control path may change: each checked before it is
-- taken, so that a test which misspells one learns it.

local cjson = require "cjson"
local image = require "sim.image"
local profile = require "sim.profile"
local state = require "sim.state"

local _M = {}

local dict = ngx.shared.sim


-- each takes the configuration and a value, and returns what is wrong

local setters = {}


local function one_of(name, ...)
    local words, known = { ... }, {}

    for _, word in ipairs(words) do
        known[word] = true
    end

    setters[name] = function(config, value)
        if not known[value] then
            return name .. " is one of " .. table.concat(words, ", ")
        end

        config[name] = value
    end
end


local function number(name)
    setters[name] = function(config, value)
        if type(value) ~= "number" or value < 0 then
            return name .. " is a number"
        end

        config[name] = value
    end
end


local function switch(name)
    setters[name] = function(config, value)
        if type(value) ~= "boolean" then
            return name .. " is true or false"
        end

        config[name] = value
    end
end


-- an object of strings; null takes a member out

local function texts(name, pattern)
    setters[name] = function(config, value)
        if type(value) ~= "table" then
            return name .. " is an object of strings"
        end

        for member, text in pairs(value) do
            if not tostring(member):find("^[%w._-]+$")
               or type(text) == "string" and not text:find(pattern)
            then
                return name .. ": not fit: " .. tostring(member)
            end

            config[name][member] = type(text) == "string" and text or nil
        end
    end
end


texts("keys", "^.+$")
texts("photio_keys", "^.+$")
texts("secrets", "^.+$")
texts("job_words", "^.+$")
texts("job_names", "^.+$")

one_of("job_shape", "nested", "flat", "data", "job")
one_of("job_error", "object", "string", "flat", "none")
one_of("job_result", "urls", "bytes", "images")
one_of("poll_url", "absolute", "path", "none")
one_of("callback_body", "job", "thin", "event")
one_of("profile_elements", "objects", "strings")
one_of("training_refund", "none", "negative", "removed")
one_of("photio_errors", "http", "body")
one_of("photio_format", "png", "jpg")

switch("job_echo")
switch("job_subjects")
switch("photio_prefix")

number("url_ttl")
number("job_delay")
number("job_pending")
number("callback_tries")
number("callback_pause")
number("callback_timeout")
number("training_delay")


function setters.training_end(config, value)
    if not profile.ends[value] then
        return "training_end is READY, ERROR or INACTIVE"
    end

    config.training_end = value
end


-- true is 404

function setters.strict_profiles(config, value)
    if type(value) ~= "boolean" and value ~= 400 and value ~= 404
       and value ~= 422
    then
        return "strict_profiles is false, true, 400, 404 or 422"
    end

    config.strict_profiles = value
end


local signatures = {
    hash = { SHA256 = true, SHA512 = true },
    encoding = { hex = true, base64 = true },
    over = { body = true, timed = true },
    form = { plain = true, prefix = true, parts = true, none = true },
}


function setters.signature(config, value)
    for name, word in pairs(type(value) == "table" and value or { "" }) do
        if not signatures[name] or not signatures[name][word] then
            return "signature is {hash, encoding, over, form}"
        end

        config.signature[name] = word
    end
end


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


function setters.url_base(config, value)
    if type(value) ~= "string" or not value:find("^https?://") then
        return "url_base is a URL"
    end

    config.url_base = value
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


-- the new configuration; or nil and what is wrong

function _M.set(changes)
    local config = cjson.decode(dict:get("config"))

    for name, value in pairs(changes) do
        if not setters[name] then
            return nil, "no such setting: " .. tostring(name)
        end

        local wrong = setters[name](config, value)

        if wrong then
            return nil, wrong
        end
    end

    state.change(config)

    return config
end


return _M
