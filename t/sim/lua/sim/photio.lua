-- Photio: another vendor with another key, one picture a call, and a status
-- that stands in the answer's body.

local cjson = require "cjson"
local bill = require "sim.bill"
local digest = require "sim.digest"
local faults = require "sim.fault"
local image = require "sim.image"
local reply = require "sim.reply"
local schema = require "sim.schema"
local state = require "sim.state"

local _M = {}

local PATH = "/v1/inference/remix"

_M.operation = "photio-remix"

local sentences = {
    [400] = "Bad request", [401] = "Unauthorized",
    [500] = "Service unavailable",
}


function _M.serves(uri)
    return uri:find("^/v1/inference/") ~= nil
end


function _M.operation_of(uri)
    return uri == PATH and _M.operation or "other"
end


-- the HTTP status mirrors the one inside, unless it is to be found there alone

local function problem(status, sentence, inside)
    if inside == nil then
        inside = state.config().photio_errors == "body"
    end

    return reply.json(inside and 200 or status, cjson.encode({
        status_code = status,
        body = sentence or sentences[status] or "Error " .. status,
    }))
end


-- an explicit seed and the same request: the same picture

local function uid_of(body)
    if not body.seed or body.seed == -1 then
        return nil
    end

    local parts = {}

    for _, name in ipairs({ "prompt", "product_image", "ref_image",
                            "negative_prompt", "seed", "cfg_scale",
                            "outline_fidelity", "style_fidelity" })
    do
        parts[#parts + 1] = cjson.encode(body[name] or cjson.null)
    end

    return digest.sha256(table.concat(parts, ",")):sub(1, 32)
end


local function picture(call, body)
    local config = state.config()
    local format = config.photio_format
    local out = { "{\"status_code\":200,\"body\":\"" }

    if config.photio_prefix then
        out[2] = "data:image/" .. (format == "jpg" and "jpeg" or format)
                 .. ";base64,"
    end

    local path = image.base64(out, call.size, format, uid_of(body))

    out[#out + 1] = "\"}"
    ngx.shared.sim:set("delivered", cjson.encode({ path }))

    return { status = 200, chunks = out }
end


local function remix(call)
    local body, _, what, sentence = schema.read(call.body, _M.operation)

    call.body = nil

    if not body then
        return problem(400, sentence or cjson.encode(what))
    end

    local micro = state.config().rates[_M.operation].base

    if not bill.reserve(call.name, micro) then
        return problem(402, "Payment required")
    end

    reply.work(call)

    if faults.billed(call.fault) then
        bill.take({ request_id = call.id, name = call.name,
                    operation = _M.operation, outputs = 1, identity = 0,
                    micro = micro })
    else
        bill.release(call.name, micro)
    end

    if call.fault.kind == "photio_in_body" then
        return problem(call.fault.value, nil, true)

    elseif call.fault.kind == "emptyimages" then
        return problem(200, "", true)
    end

    return picture(call, body)
end


local function answer(call, uri)
    call.name = state.config().photio_names[ngx.var.http_x_photio_key or ""]

    if not call.name then
        state.count("refused")
        return problem(401)
    end

    if uri ~= PATH then
        return problem(404, "Not found")
    end

    if call.method ~= "POST" then
        return problem(405, "Method not allowed")
    end

    call.size = ngx.var.http_x_sim_size or state.config().size

    if not image.sizes[call.size] then
        return problem(400, "unknown X-Sim-Size")
    end

    return remix(call)
end


function _M.serve(call, uri)
    return reply.send(call, answer(call, uri))
end


return _M
