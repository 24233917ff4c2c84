-- Phota's API: keys, routes, what an image call makes and what it costs.

local cjson = require "cjson"
local ffi = require "ffi"
local bill = require "sim.bill"
local faults = require "sim.fault"
local image = require "sim.image"
local reply = require "sim.reply"
local schema = require "sim.schema"
local state = require "sim.state"

ffi.cdef[[
unsigned char *SHA256(const char *d, size_t n, unsigned char *md);
]]

local _M = {}

local dict = ngx.shared.sim
local digest = ffi.new("unsigned char[32]")

local ROOT = "/v1/phota/"
local BIG = 4 * 1024 * 1024
local SHOWN = 16 * 1024

-- members of an answer that no version of the API has had so far

local EXTRA = [["safety":{"score":0.10,"notes":["a \"]}\u00e9",null]}]]
local MORE = [["seed":18446744073709551615]]


local function sha256(text)
    ffi.C.SHA256(text, #text, digest)

    return (ffi.string(digest, 32):gsub(".", function(c)
        return string.format("%02x", c:byte())
    end))
end


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
        last.body_sha256 = sha256(body)
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


local function refusal(call, status, what, sentence)
    if status == 422 then
        return reply.json(422, cjson.encode({ detail = what }))
    end

    return reply.problem(call, status, what, sentence)
end


-- the ids a request names, sorted, each once

local function named(body, operation)
    local seen, ids = {}, {}

    local function add(id)
        if not seen[id] then
            seen[id] = true
            ids[#ids + 1] = id
        end
    end

    if operation ~= "generate" then
        for _, id in ipairs(body.profile_ids or {}) do
            add(id)
        end
    end

    for id in (body.prompt or ""):gmatch("%[%[([^%[%]]+)%]%]") do
        add(id)
    end

    table.sort(ids)

    return ids
end


-- who is seen in which output: counts by id, and in how many outputs anybody

local function recognise(ids, n)
    local counts, hit, identity = {}, {}, 0

    for _, id in ipairs(ids) do
        local once = id:match("^prof_once(%d?)")

        if once then
            counts[id] = n > 0 and 1 or nil
            hit[math.min(math.max(tonumber(once) or 1, 1), n)] = true

        elseif id:find("^prof_") and not id:find("^prof_none") and n > 0 then
            counts[id] = n

            for i = 1, n do
                hit[i] = true
            end
        end
    end

    for i = 1, n do
        identity = identity + (hit[i] and 1 or 0)
    end

    return counts, identity
end


local function outputs(out, n, urls, work)
    for i = 1, n do
        out[#out + 1] = i == 1 and "\"" or ",\""

        if urls then
            out[#out + 1], work.paths[#work.paths + 1] =
                image.url(work.size, work.format)
        else
            work.paths[#work.paths + 1] =
                image.base64(out, work.size, work.format)
        end

        out[#out + 1] = "\""
    end
end


local function pictures(work)
    local kind = work.fault
    local urls = work.mode == "urls"
    local inside = kind == "imagesurls"
    local n = kind == "emptyimages" and 0 or work.n
    local extra = kind == "extra"
    local out = { (extra and "{" .. EXTRA .. "," or "{")
                  .. "\"known_subjects\":" }

    work.paths = {}

    if kind == "nosubjects" then
        out[2] = "null"
    else
        out[2] = "{\"counts\":" .. cjson.encode(work.counts) .. "}"
    end

    out[3] = ",\"images\":["
    outputs(out, (inside or not urls) and n or 0, inside, work)
    out[#out + 1] = "],\"download_urls\":["
    outputs(out, (urls and not inside) and n or 0, true, work)
    out[#out + 1] = extra and "]," .. MORE .. "}" or "]}"

    dict:set("delivered", cjson.encode(work.paths))

    return out
end


local function rate_of(operation, body)
    local rates = state.config().rates
    local model = operation .. "/" .. (body.base_model or "nb2")

    return rates[model .. "/" .. (body.resolution or "1K")] or rates[model]
           or rates[operation]
end


local function settle(call, reserved, b)
    if not b then
        return bill.release(call.name, reserved)
    end

    bill.take(b)
    bill.release(call.name, reserved - b.micro)
end


local function job(call, body, work)
    local id = "job_" .. ngx.var.request_id

    dict:set("job:" .. call.name .. ":" .. id, cjson.encode({
        job_id = id,
        status = "completed",
        client_request_id = body.client_request_id,
        result = cjson.decode(table.concat(pictures(work))),
    }))

    return id
end


local function accepted(id)
    return reply.json(202, cjson.encode({
        job_id = id,
        status = "queued",
        poll_url = state.config().url_base .. ROOT .. "jobs/" .. id,
    }))
end


-- a repeated client_request_id is the job it was, and costs nothing

local function known_job(call, body)
    local id = body.client_request_id

    return body.async and id
           and dict:get("job_of:" .. call.name .. ":" .. id)
end


local function deliver(call, body, work, reserved)
    local charge

    reply.work(call)

    if work.n > 0 and faults.billed(call.fault) then
        charge = {
            request_id = call.id, name = call.name, operation = call.operation,
            outputs = work.n, identity = work.identity, micro = work.micro,
        }
    end

    settle(call, reserved, charge)

    if not body.async then
        return reply.send(call, { status = 200, chunks = pictures(work) })
    end

    local id = job(call, body, work)

    if body.client_request_id then
        dict:set("job_of:" .. call.name .. ":" .. body.client_request_id, id)
    end

    return reply.send(call, accepted(id))
end


local function images(call)
    local body, status, what, sentence = schema.read(call.body, call.operation)

    call.body = nil

    if not body then
        return reply.send(call, refusal(call, status, what, sentence))
    end

    local before = known_job(call, body)

    if before then
        return reply.send(call, accepted(before))
    end

    local size = ngx.var.http_x_sim_size or state.config().size

    if not image.sizes[size] then
        return reply.send(call, reply.detail(400, "unknown X-Sim-Size"))
    end

    local n = body.num_output_images or 1
    local rate = rate_of(call.operation, body)
    local reserved = bill.amount(rate, n, n)

    if not bill.reserve(call.name, reserved) then
        return reply.send(call, reply.problem(call, 402))
    end

    if call.fault.kind == "partial" then
        n = math.min(n, call.fault.value)
    end

    local ids = call.fault.kind == "nosubjects" and {}
                or call.fault.kind == "guest" and { "prof_guest" }
                or named(body, call.operation)
    local counts, identity = recognise(ids, n)

    return deliver(call, body, {
        n = n, counts = counts, identity = identity,
        micro = bill.amount(rate, n, identity),
        mode = body.response_mode, format = body.output_format or "jpg",
        size = size, fault = call.fault.kind,
    }, reserved)
end


local function train(call)
    local body, status, what, sentence = schema.read(call.body, "training")

    if not body then
        return reply.send(call, refusal(call, status, what, sentence))
    end

    local micro = state.config().rates[body.training_tier or "standard"].base

    if not bill.reserve(call.name, micro) then
        return reply.send(call, reply.problem(call, 402))
    end

    local id = "prof_" .. ngx.var.request_id
    local charge = faults.billed(call.fault) and {
        request_id = call.id, name = call.name, operation = "training",
        outputs = 0, identity = 0, micro = micro,
    }

    reply.work(call)
    settle(call, micro, charge)
    dict:set("job_profile:" .. call.name .. ":" .. id, body.tag or "")

    return reply.send(call, reply.json(200, cjson.encode({
        profile_id = id,
    })))
end


local function profile_ids(call)
    local prefix = "job_profile:" .. call.name .. ":"
    local tag = ngx.var.arg_tag
    local list = {}

    for _, key in ipairs(dict:get_keys(0)) do
        if key:sub(1, #prefix) == prefix
           and (not tag or dict:get(key) == tag)
        then
            list[#list + 1] = cjson.encode({ profile_id = key:sub(#prefix + 1),
                                             status = "READY" })
        end
    end

    return reply.json(200, "{\"profiles\":[" .. table.concat(list, ",")
                           .. "]}")
end


-- every id that begins with prof_ exists: tests name what they like

local function profile(call, id, what)
    if not id:find("^prof_") then
        return reply.problem(call, 404)
    end

    if what == "status" then
        return reply.json(200, cjson.encode({ profile_id = id,
                                              status = "READY",
                                              message = "" }))
    end

    return { status = 200, type = "image/jpeg", chunks = { image.portrait() } }
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
    local mac = ngx.hmac_sha1(state.settings().secret, call.name)

    return reply.json(200, cjson.encode({
        secret = "whsec_" .. ngx.encode_base64(mac),
    }))
end


local function get(call, path)
    local id, what = path:match("^profiles/([^/]+)/(%l[%l_]+)$")

    if path == "profiles/ids" then
        return profile_ids(call)

    elseif path == "models" then
        return models()

    elseif path == "webhook-secret" then
        return webhook_secret(call)

    elseif path == "" then
        return reply.json(200, cjson.encode({ name = "Phota API",
                                              version = "0.7.0" }))

    elseif what == "status" or what == "profile_picture" then
        return profile(call, id, what)
    end

    local job_id = path:match("^jobs/([^/]+)$")
    local text = job_id and dict:get("job:" .. call.name .. ":" .. job_id)

    if text then
        return reply.json(200, text)
    end

    return job_id and reply.problem(call, 404)
           or reply.detail(404, "Not Found")
end


local function delete(call, path)
    local id = path:match("^profiles/([^/]+)$")

    if not id or not id:find("^prof_") then
        return reply.problem(call, 404)
    end

    dict:delete("job_profile:" .. call.name .. ":" .. id)

    return reply.json(200, cjson.encode({ profile_id = id, status = "ok" }))
end


local posts = { remix = images, enhance = images, edit = images,
                generate = images, training = train }


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


local function operation_of(path)
    if path == "profiles/add" then
        return "training"
    end

    return path ~= "training" and posts[path] and path or "other"
end


function _M.serve()
    local uri = ngx.var.uri
    local path = uri:sub(1, #ROOT) == ROOT and uri:sub(#ROOT + 1)
                 or uri .. "/"
    local call = {
        id = "req_" .. ngx.var.request_id,
        method = ngx.req.get_method(),
        operation = operation_of(path),
    }

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

    if unknown then
        return reply.send(call, reply.detail(400, unknown))
    end

    local big = #call.body > BIG

    answer(call, path)

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
