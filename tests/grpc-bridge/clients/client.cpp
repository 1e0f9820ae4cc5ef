// client.cpp: a real gRPC client (gRPC C++) that does what it is told, line by line.  harness.py says the commands;
// client.py is the same in Python.
// SPDX-License-Identifier: Apache-2.0
#include "datadog/api/v1/api.grpc.pb.h"
#include "datadog/remoteagent/v1/remoteagent.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace api = datadog::api::v1;
namespace health = grpc::health::v1;
namespace model = datadog::model::v1;
namespace remoteagent = datadog::remoteagent::v1;

constexpr auto NORMAL_TIMEOUT = std::chrono::seconds(120); // of calls for which nothing else was said

using Words = std::map<std::string, std::string>;

[[noreturn]] void die(const std::string &why)
{
    std::cerr << "client.cpp: " << why << std::endl;
    std::exit(1);
}

// ---- words ----------------------------------------------------------------------------------------------------------

std::string unquote(const std::string &text)
{
    std::string result;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == '%') {
            result += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            result += text[i];
        }
    }
    return result;
}

std::string quote(const std::string &text)
{
    static const char digits[] = "0123456789ABCDEF";
    std::string result;
    for (unsigned char byte : text) {
        if (std::isalnum(byte)) {
            result += static_cast<char>(byte);
        } else {
            result += '%';
            result += digits[byte >> 4];
            result += digits[byte & 15];
        }
    }
    return result;
}

bool has(const Words &words, const std::string &name) { return words.count(name) > 0; }

std::string get(const Words &words, const std::string &name, const std::string &otherwise = "")
{
    auto found = words.find(name);
    return found == words.end() ? otherwise : found->second;
}

std::string content(const Words &words, const std::string &name)
{
    if (!has(words, name))
        return "";
    std::ifstream file(get(words, name), std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    if (!file)
        die("cannot read " + get(words, name));
    return text.str();
}

std::string from_hex(const std::string &hex)
{
    std::string result;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        result += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return result;
}

// ---- calls ----------------------------------------------------------------------------------------------------------

// The calls' common options: metadata, deadline, compression.
void set_options(grpc::ClientContext &context, const Words &words)
{
    if (has(words, "token"))
        context.AddMetadata("authorization", "Bearer " + get(words, "token"));
    if (has(words, "session"))
        context.AddMetadata("session_id", get(words, "session"));
    context.set_wait_for_ready(has(words, "wait"));
    if (has(words, "deadline_ms"))
        context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::milliseconds(std::stol(get(words, "deadline_ms"))));
    if (has(words, "gzip"))
        context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
}

std::string name_of(grpc::StatusCode code)
{
    static const char *const names[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
                                        "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
                                        "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
                                        "UNAUTHENTICATED"};
    return names[code];
}

Words words_of(const grpc::Status &status)
{
    return {{"status", name_of(status.error_code())}, {"message", status.error_message()}};
}

std::string json_of(const google::protobuf::Message &message)
{
    std::string text;
    if (!google::protobuf::util::MessageToJsonString(message, &text).ok())
        die("a value that has no JSON");
    return text;
}

// ---- streams --------------------------------------------------------------------------------------------------------

// One StreamConfigEvents, read by a thread of its own, and the configuration that it makes up.
class Stream {
public:
    Stream(const std::shared_ptr<grpc::Channel> &channel, const Words &words)
        : stub(api::AgentSecure::NewStub(channel)), paused(has(words, "paused"))
    {
        model::ConfigStreamRequest request;
        request.set_name(get(words, "name"));
        set_options(context, words);
        reader = stub->StreamConfigEvents(&context, request);
        thread = std::thread([this] { read(); });
    }

    ~Stream()
    {
        context.TryCancel();
        set_paused(false);
        thread.join();
    }

    void cancel() { context.TryCancel(); }

    void set_paused(bool value)
    {
        std::lock_guard<std::mutex> guard(mutex);
        paused = value;
        changed.notify_all();
    }

    Words look()
    {
        std::lock_guard<std::mutex> guard(mutex);
        Words answer = end;
        answer["begun"] = begun ? "1" : "0";
        answer["snapshots"] = std::to_string(snapshots);
        answer["updates"] = std::to_string(updates);
        answer["mistakes"] = std::to_string(mistakes);
        answer["last"] = std::to_string(last);
        answer["settings"] = std::to_string(settings.size());
        answer["bytes"] = std::to_string(snapshot_bytes);
        answer["origin"] = origin;
        answer["path"] = path;
        return answer;
    }

    Words values(const std::string &prefix)
    {
        Words answer;
        std::lock_guard<std::mutex> guard(mutex);
        for (const auto &[key, setting] : settings)
            if (key.compare(0, prefix.size(), prefix) == 0)
                answer[key] = "[\"" + setting.source() + "\", " + json_of(setting.value()) + "]";
        return answer;
    }

    void save(const std::string &key, const std::string &file)
    {
        std::lock_guard<std::mutex> guard(mutex);
        std::ofstream(file, std::ios::binary) << settings.at(key).value().string_value();
    }

private:
    void read()
    {
        model::ConfigEvent event;
        reader->WaitForInitialMetadata();
        take_metadata();
        while (wait_unpaused() && reader->Read(&event))
            take(event);
        grpc::Status status = reader->Finish();
        std::lock_guard<std::mutex> guard(mutex);
        end = words_of(status);
    }

    void take_metadata()
    {
        std::lock_guard<std::mutex> guard(mutex);
        const auto &metadata = context.GetServerInitialMetadata();
        auto found = metadata.find("configstream-path");
        if (found != metadata.end())
            path.assign(found->second.data(), found->second.size());
        begun = true;
    }

    bool wait_unpaused()
    {
        std::unique_lock<std::mutex> guard(mutex);
        changed.wait(guard, [this] { return !paused; });
        return true;
    }

    void take(model::ConfigEvent &event)
    {
        std::lock_guard<std::mutex> guard(mutex);
        if (event.has_snapshot())
            take_snapshot(*event.mutable_snapshot());
        else
            take_update(*event.mutable_update());
    }

    void take_snapshot(model::ConfigSnapshot &snapshot)
    {
        mistakes += last >= 0 && snapshot.sequence_id() <= last;
        snapshots++;
        snapshot_bytes = snapshot.ByteSizeLong();
        origin = snapshot.origin();
        last = snapshot.sequence_id();
        settings.clear();
        for (auto &setting : *snapshot.mutable_settings())
            settings[setting.key()].Swap(&setting);
    }

    void take_update(model::ConfigUpdate &update)
    {
        mistakes += last < 0 || update.sequence_id() != last + 1;
        updates++;
        last = update.sequence_id();
        const std::string key = update.setting().key();
        if (update.setting().has_value())
            settings[key].Swap(update.mutable_setting());
        else
            settings.erase(key);
    }

    grpc::ClientContext context;
    std::unique_ptr<api::AgentSecure::Stub> stub;
    std::unique_ptr<grpc::ClientReader<model::ConfigEvent>> reader;
    std::thread thread;
    std::mutex mutex; // of what follows
    std::condition_variable changed;
    bool paused, begun = false;
    unsigned snapshots = 0, updates = 0, mistakes = 0;
    int64_t last = -1;
    size_t snapshot_bytes = 0;
    std::string origin, path;
    std::map<std::string, model::ConfigSetting> settings;
    Words end; // status and message, once there are any
};

// ---- commands -------------------------------------------------------------------------------------------------------

std::map<std::string, std::shared_ptr<grpc::Channel>> channels;
std::map<std::string, std::unique_ptr<Stream>> streams; // one of a channel

const std::shared_ptr<grpc::Channel> &channel_of(const Words &words) { return channels.at(get(words, "channel")); }
Stream &stream_of(const Words &words) { return *streams.at(get(words, "channel")); }

Words connect(const Words &words)
{
    grpc::ChannelArguments arguments;
    arguments.SetInt("grpc.use_local_subchannel_pool", 1); // a connection of its own for each channel
    arguments.SetInt("grpc.initial_reconnect_backoff_ms", 100);
    arguments.SetInt("grpc.max_reconnect_backoff_ms", 500);
    if (has(words, "receive_max"))
        arguments.SetMaxReceiveMessageSize(std::stoi(get(words, "receive_max")));
    grpc::SslCredentialsOptions files{content(words, "ca"), content(words, "key"), content(words, "cert")};
    auto credentials = has(words, "plain") ? grpc::InsecureChannelCredentials() : grpc::SslCredentials(files);
    channels[get(words, "channel")] = grpc::CreateCustomChannel(get(words, "address"), credentials, arguments);
    return {};
}

Words disconnect(const Words &words)
{
    streams.erase(get(words, "channel"));
    channels.erase(get(words, "channel"));
    return {};
}

// The answer's fields, and the status.
template <class Stub, class Request, class Answer>
Words unary(const Words &words, grpc::Status (Stub::*method)(grpc::ClientContext *, const Request &, Answer *),
            const Request &request, const std::function<Words(const Answer &)> &show = nullptr)
{
    Stub stub(channel_of(words));
    grpc::ClientContext context;
    Answer answer;
    context.set_deadline(std::chrono::system_clock::now() + NORMAL_TIMEOUT);
    set_options(context, words);
    Words result = words_of((stub.*method)(&context, request, &answer));
    if (result["status"] == "OK" && show)
        result.merge(show(answer));
    return result;
}

template <class Stub> Words register_by(const Words &words)
{
    remoteagent::RegisterRemoteAgentRequest request;
    request.set_pid(get(words, "pid", "1"));
    request.set_flavor(get(words, "flavor", "test"));
    request.set_display_name(get(words, "display_name"));
    request.set_api_endpoint_uri(get(words, "api_endpoint_uri"));
    std::istringstream services(get(words, "services"));
    for (std::string service; services >> service;)
        request.add_services(service);
    return unary<Stub, remoteagent::RegisterRemoteAgentRequest, remoteagent::RegisterRemoteAgentResponse>(
        words, &Stub::RegisterRemoteAgent, request, [](const auto &answer) -> Words {
            return {{"session", answer.session_id()},
                    {"interval", std::to_string(answer.recommended_refresh_interval_secs())}};
        });
}

template <class Stub> Words refresh_by(const Words &words)
{
    remoteagent::RefreshRemoteAgentRequest request;
    request.set_session_id(get(words, "of"));
    return unary(words, &Stub::RefreshRemoteAgent, request);
}

Words report(const Words &words)
{
    remoteagent::ReportRemoteAgentEventRequest request;
    request.set_session_id(get(words, "of"));
    request.add_events()->set_message(get(words, "text"));
    return unary(words, &remoteagent::RemoteAgent::Stub::ReportRemoteAgentEvent, request);
}

Words probe(const Words &words)
{
    return unary(words, &api::AgentSecure::Stub::TaggerFetchEntity, model::FetchEntityRequest());
}

Words hostname(const Words &words)
{
    return unary<api::Agent::Stub, model::HostnameRequest, model::HostnameReply>(
        words, &api::Agent::Stub::GetHostname, {},
        [](const auto &answer) -> Words { return {{"hostname", answer.hostname()}}; });
}

Words check_health(const Words &words)
{
    health::HealthCheckRequest request;
    request.set_service(get(words, "service"));
    return unary<health::Health::Stub, health::HealthCheckRequest, health::HealthCheckResponse>(
        words, &health::Health::Stub::Check, request, [](const auto &answer) -> Words {
            return {{"health", health::HealthCheckResponse::ServingStatus_Name(answer.status())}};
        });
}

// Any method, any bytes.
Words raw(const Words &words)
{
    grpc::GenericStub stub(channel_of(words));
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    grpc::Slice slice(from_hex(get(words, "hex")));
    grpc::ByteBuffer request(&slice, 1), answer;
    grpc::Status status;
    void *tag;
    bool ok;
    context.set_deadline(std::chrono::system_clock::now() + NORMAL_TIMEOUT);
    set_options(context, words);
    auto call = stub.PrepareUnaryCall(&context, get(words, "path"), request, &queue);
    call->StartCall();
    call->Finish(&answer, &status, nullptr);
    queue.Next(&tag, &ok);
    return words_of(status);
}

Words subscribe(const Words &words)
{
    streams[get(words, "channel")] = std::make_unique<Stream>(channel_of(words), words);
    return {};
}

Words look(const Words &words) { return stream_of(words).look(); }
Words values(const Words &words) { return stream_of(words).values(get(words, "prefix")); }

Words save(const Words &words)
{
    stream_of(words).save(get(words, "key"), get(words, "file"));
    return {};
}

Words pause(const Words &words)
{
    stream_of(words).set_paused(true);
    return {};
}

Words resume(const Words &words)
{
    stream_of(words).set_paused(false);
    return {};
}

Words cancel(const Words &words)
{
    stream_of(words).cancel();
    return {};
}

const std::map<std::string, Words (*)(const Words &)> COMMANDS = {
    {"connect", connect},
    {"disconnect", disconnect},
    {"register", register_by<api::AgentSecure::Stub>},
    {"refresh", refresh_by<api::AgentSecure::Stub>},
    {"new_register", register_by<remoteagent::RemoteAgent::Stub>},
    {"new_refresh", refresh_by<remoteagent::RemoteAgent::Stub>},
    {"report", report},
    {"probe", probe},
    {"hostname", hostname},
    {"health", check_health},
    {"raw", raw},
    {"subscribe", subscribe},
    {"look", look},
    {"values", values},
    {"save", save},
    {"pause", pause},
    {"resume", resume},
    {"cancel", cancel},
};

void obey(const std::string &line)
{
    std::istringstream rest(line);
    std::string command, word, answer;
    Words words;
    rest >> command;
    while (rest >> word) {
        size_t equals = word.find('=');
        words[word.substr(0, equals)] = unquote(word.substr(equals + 1));
    }
    if (COMMANDS.count(command) == 0)
        die("no such command: " + command);
    for (const auto &[name, value] : COMMANDS.at(command)(words))
        answer += (answer.empty() ? "" : " ") + name + "=" + quote(value);
    std::cout << answer << std::endl;
}

} // namespace

int main()
{
    for (std::string line; std::getline(std::cin, line);)
        obey(line);
    streams.clear();
    return 0;
}
