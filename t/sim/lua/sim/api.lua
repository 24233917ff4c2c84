-- The front door: keys, routes, and what is remembered of each request.

local cjson = require "cjson"
local callback = require "sim.callback"
local digest = require "sim.digest"
local faults = require "sim.fault"
local job = require "sim.job"
local photio = require "sim.photio"
local profile = require "sim.profile"
local reply = require "sim.reply"
local schema = require "sim.schema"
local state = require "sim.state"
local studio = require "sim.studio"

local _M = {}

local dict = ngx.shared.sim

local ROOT = "/v1/phota/"
local BIG = 4 * 1024 * 1024
local SHOWN = 16 * 1024


local function read_body()
    ngx.req.read_body()

    local body = ngx.req.get_body_data()
    local name = not body and ngx.req.get_body_file()

    if name then
        local file = assert(io.open(name, "rb"))
        body = file:read("*a")
        file:close()
    end

    return body or ""
end


-- for GET /_sim/last; body is nil when an early answer left it unread

local function remember(call, body)
    local last = {
        method = call.method,
        uri = ngx.var.request_uri,
        request_id = call.id,
        time = ngx.now(),
        headers = ngx.req.get_headers(0),
        raw_header = ngx.req.raw_header(),
    }

    if ngx.var.https == "on" then
        last.tls = { server_name = ngx.var.ssl_server_name,
                     protocol = ngx.var.ssl_protocol }
    end

    if body then
        last.body_length = #body
        last.body_sha256 = digest.sha256(body)
        last.body = #body <= SHOWN and body or nil
    end

    dict:set("last", cjson.encode(last))
end


-- the key's name; or nil and the refusal

local function authenticate()
    local key = ngx.req.get_headers(0)["x-api-key"]

    if not key then
        return nil, reply.detail(403, "Not authenticated")
    end

    local name = state.config().names[key]

    if not name then
        return nil, reply.detail(401, "Missing or invalid API key in the "
                                      .. "X-API-Key header.")
    end

    return name
end


local function models()
    local list = {}

    for name, resolutions in pairs(schema.models) do
        local r = {}

        for resolution in pairs(resolutions) do
            r[#r + 1] = resolution
        end

        table.sort(r)
        list[#list + 1] = { id = name, resolutions = r }
    end

    table.sort(list, function(a, b) return a.id < b.id end)

    return reply.json(200, cjson.encode({ models = list }))
end


local function webhook_secret(call)
    return reply.json(200, cjson.encode({ secret = callback.secret(call.name)
                                        }))
end


local gets = {
    profiles = profile.ids,
    models = models,
    secret = webhook_secret,
}


local function get(call, path)
    if gets[call.operation] then
        return gets[call.operation](call)

    elseif call.operation == "jobs" then
        return job.poll(call, path:match("([^/]+)$"))

    elseif call.operation == "profile" then
        local id, what = path:match("^profiles/([^/]+)/(%l[%l_]+)$")

        return id and profile.get(call, id, what)
               or reply.detail(405, "Method Not Allowed")

    elseif path == "" then
        return reply.json(200, cjson.encode({ name = "Phota API",
                                              version = "0.7.0" }))
    end

    return reply.detail(404, "Not Found")
end


local function delete(call, path)
    local id = path:match("^profiles/([^/]+)$")

    return id and profile.delete(call, id) or reply.problem(call, 404)
end


local posts = { remix = studio.make, enhance = studio.make,
                edit = studio.make, generate = studio.make,
                training = profile.add }


local function answer(call, path)
    local name, refused = authenticate()

    if not name then
        state.count("refused")
        return reply.send(call, refused)
    end

    call.name = name

    if call.method == "POST" and posts[call.operation] then
        return posts[call.operation](call)
    end

    reply.work(call)

    if call.method == "GET" or call.method == "HEAD" then
        return reply.send(call, get(call, path))

    elseif call.method == "DELETE" then
        return reply.send(call, delete(call, path))
    end

    return reply.send(call, reply.detail(405, "Method Not Allowed"))
end


local named = { ["profiles/add"] = "training", ["profiles/ids"] = "profiles",
                ["webhook-secret"] = "secret", models = "models" }


local function operation_of(path)
    if named[path] then
        return named[path]

    elseif path:find("^jobs/[^/]+$") then
        return "jobs"

    elseif path:find("^profiles/[^/]+$")
           or path:find("^profiles/[^/]+/status$")
           or path:find("^profiles/[^/]+/profile_picture$")
    then
        return "profile"
    end

    return path ~= "training" and posts[path] and path or "other"
end


-- the call, and the path behind the root; nil: it is Photio's

local function call_of(uri)
    local call = { id = "req_" .. ngx.var.request_id,
                   method = ngx.req.get_method() }

    if photio.serves(uri) then
        call.operation = photio.operation_of(uri)
        return call
    end

    local path = uri:sub(1, #ROOT) == ROOT and uri:sub(#ROOT + 1)
                 or uri .. "/"

    call.operation = operation_of(path)

    return call, path
end


function _M.serve()
    local call, path = call_of(ngx.var.uri)

    state.enter()
    ngx.var.sim_counted = "1"
    state.count("received")
    state.count("operation:" .. call.operation)

    local fault, unknown = faults.find(call.operation)

    call.fault = fault or { kind = "ok" }

    if call.fault.kind == "early" then
        remember(call, nil)
        reply.work(call)
        ngx.var.sim_early = call.fault.value
        return ngx.exec("@early")
    end

    call.body = read_body()
    remember(call, call.body)

    if fault then
        call.options, unknown = faults.options(call)
    end

    if unknown then
        return reply.send(call, reply.detail(400, unknown))
    end

    local big = #call.body > BIG

    if path then
        answer(call, path)
    else
        photio.serve(call, ngx.var.uri)
    end

    -- megabytes of strings don't look like much to the collector
    if big then
        collectgarbage()
    end
end


function _M.log()
    if ngx.var.sim_counted == "1" then
        state.leave()
    end
end


return _M
