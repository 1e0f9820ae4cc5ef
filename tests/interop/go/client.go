// client.go: the scenario of README.md with grpc-go, of any age.  SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	core "github.com/DataDog/datadog-agent/pkg/proto/pbgo/core"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var (
	connection *grpc.ClientConn
	agent      core.AgentSecureClient
	registry   core.RemoteAgentClient
	token      string
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func check(holds bool, format string, arguments ...interface{}) {
	if !holds {
		panic(fmt.Sprintf(format, arguments...))
	}
}

func fails(err error, code codes.Code) {
	check(status.Code(err) == code, "expected %v, got %v", code, err)
}

func connect() {
	pem, err := os.ReadFile(os.Getenv("CERT"))
	must(err)
	content, err := os.ReadFile(os.Getenv("TOKEN"))
	must(err)
	token = strings.TrimSpace(string(content))
	pair, err := tls.X509KeyPair(pem, pem)
	must(err)
	pool := x509.NewCertPool()
	check(pool.AppendCertsFromPEM(pem), "no certificate in the file")
	connection, err = grpc.Dial(os.Getenv("ADDRESS"), grpc.WithTransportCredentials(credentials.NewTLS(
		&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}})),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(128<<20)))
	must(err)
	agent, registry = core.NewAgentSecureClient(connection), core.NewRemoteAgentClient(connection)
}

func with(pairs ...string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	return metadata.AppendToOutgoingContext(ctx, pairs...), cancel
}

func bearer() string {
	return "Bearer " + token
}

func register() string {
	ctx, cancel := with("authorization", bearer())
	defer cancel()
	answer, err := registry.RegisterRemoteAgent(ctx, &core.RegisterRemoteAgentRequest{
		Pid: "1", Flavor: "go", DisplayName: "Go", ApiEndpointUri: "localhost:0"})
	must(err)
	return answer.SessionId
}

func subscribe(ctx context.Context) core.AgentSecure_StreamConfigEventsClient {
	stream, err := agent.StreamConfigEvents(ctx, &core.ConfigStreamRequest{Name: "go"})
	must(err)
	return stream
}

func next(stream core.AgentSecure_StreamConfigEventsClient) *core.ConfigEvent {
	event, err := stream.Recv()
	must(err)
	return event
}

// Returns the ID of the last update.
func publish(times string) int32 {
	output, err := exec.Command(os.Getenv("PUBLISH"), times).Output()
	must(err)
	last, err := strconv.Atoi(strings.TrimSpace(string(output)))
	must(err)
	return int32(last)
}

func registersAndRefreshes() {
	ctx, cancel := with("authorization", bearer())
	defer cancel()
	_, err := registry.RefreshRemoteAgent(ctx, &core.RefreshRemoteAgentRequest{SessionId: register()})
	must(err)
}

func snapshotThenUpdates() {
	ctx, cancel := with("authorization", bearer(), "session_id", register())
	defer cancel()
	stream := subscribe(ctx)
	snapshot := next(stream).GetSnapshot()
	check(len(snapshot.GetSettings()) > 0, "no snapshot first, or an empty one")
	publish("3")
	for i := int32(1); i <= 3; i++ {
		update := next(stream).GetUpdate()
		check(update.GetSequenceId() == snapshot.SequenceId+i && update.Setting.Key == "number" &&
			update.Setting.Value.GetNumberValue() == float64(i), "update %v", update)
	}
}

func wrongToken() {
	ctx, cancel := with("authorization", "Bearer wrong")
	defer cancel()
	_, err := agent.TaggerFetchEntity(ctx, &core.FetchEntityRequest{})
	fails(err, codes.Unauthenticated)
}

func streamFails(code codes.Code, pairs ...string) {
	ctx, cancel := with(append(pairs, "authorization", bearer())...)
	defer cancel()
	_, err := subscribe(ctx).Recv()
	fails(err, code)
}

func noSession() { streamFails(codes.Unauthenticated) }

func unknownSession() { streamFails(codes.PermissionDenied, "session_id", "unknown") }

func unknownRefresh() {
	ctx, cancel := with("authorization", bearer())
	defer cancel()
	_, err := registry.RefreshRemoteAgent(ctx, &core.RefreshRemoteAgentRequest{SessionId: "unknown"})
	fails(err, codes.NotFound)
}

func unknownMethod() {
	ctx, cancel := with("authorization", bearer())
	defer cancel()
	fails(connection.Invoke(ctx, "/datadog.api.v1.AgentSecure/Nothing", &core.FetchEntityRequest{},
		&core.FetchEntityResponse{}), codes.Unimplemented)
}

func deadline() {
	ctx, cancel := with("authorization", bearer(), "session_id", register())
	defer cancel()
	soon, cancelSoon := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancelSoon()
	stream := subscribe(soon)
	next(stream)
	_, err := stream.Recv()
	fails(err, codes.DeadlineExceeded)
}

func cancelled() {
	ctx, cancel := with("authorization", bearer(), "session_id", register())
	stream := subscribe(ctx)
	next(stream)
	cancel()
	_, err := stream.Recv()
	fails(err, codes.Canceled)
	ctx, cancel = with("authorization", bearer())
	defer cancel()
	_, err = agent.TaggerFetchEntity(ctx, &core.FetchEntityRequest{})
	must(err)
}

func serving() {
	ctx, cancel := with("authorization", bearer())
	defer cancel()
	answer, err := health.NewHealthClient(connection).Check(ctx, &health.HealthCheckRequest{})
	must(err)
	check(answer.Status == health.HealthCheckResponse_SERVING, "%v", answer.Status)
}

func catchesUp() {
	ctx, cancel := with("authorization", bearer(), "session_id", register())
	defer cancel()
	stream := subscribe(ctx)
	last, number, snapshots := next(stream).GetSnapshot().GetSequenceId(), 0.0, 0
	end := publish(os.Getenv("BURST"))
	for last < end {
		event := next(stream)
		if snapshot := event.GetSnapshot(); snapshot != nil {
			check(snapshot.SequenceId > last, "a snapshot that goes back")
			last = snapshot.SequenceId
			snapshots++
			for _, setting := range snapshot.Settings {
				if setting.Key == "number" {
					number = setting.Value.GetNumberValue()
				}
			}
		} else {
			check(event.GetUpdate().GetSequenceId() == last+1, "%v after %d", event, last)
			last++
			number = event.GetUpdate().Setting.Value.GetNumberValue()
		}
	}
	check(fmt.Sprint(number) == os.Getenv("BURST"), "the last number is %v", number)
	fmt.Printf("  (snapshots in between: %d)\n", snapshots)
}

func run(sentence string, scene func()) {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Printf("FAILED: %s: %v\n", sentence, problem)
			os.Exit(1)
		}
	}()
	scene()
	fmt.Println("ok: " + sentence)
}

func main() {
	connect()
	run("registers and refreshes", registersAndRefreshes)
	run("gets a snapshot, then consecutive updates", snapshotThenUpdates)
	run("a wrong token is UNAUTHENTICATED", wrongToken)
	run("no session is UNAUTHENTICATED", noSession)
	run("an unknown session is PERMISSION_DENIED", unknownSession)
	run("refreshing an unknown session is NOT_FOUND", unknownRefresh)
	run("an unknown method is UNIMPLEMENTED", unknownMethod)
	run("a deadline ends the stream", deadline)
	run("a cancelled stream leaves the connection as it was", cancelled)
	run("health is SERVING", serving)
	run("a stream not read for a burst of updates catches up", catchesUp)
}
