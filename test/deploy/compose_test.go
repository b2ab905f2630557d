package deploy

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// compose loads docker-compose.yml as Compose does: against its schema, with what is
// interpolated and merged put in place.
func compose(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestCompose looks at the services of each profile.
func TestCompose(t *testing.T) {
	for profile, want := range map[string][]string{
		"live": {"redis", "worker"}, "demo": {"demo-enqueue", "demo-graph", "demo-redis", "demo-worker"},
		"monitoring": {"grafana", "prometheus"}, "tools": {"batch", "enqueue"},
	} {
		p := compose(t, profile)
		if got := p.ServiceNames(); !slices.Equal(got, want) {
			t.Errorf("profile %s has %v, want %v", profile, got, want)
		}
		for name, s := range p.Services {
			if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
				t.Errorf("%s is not read-only, or has capabilities, or can get privileges", name)
			}
			for _, port := range s.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s is published at %q", name, port.HostIP)
				}
			}
			for _, v := range s.Volumes {
				// What is made when the files are set up need not be here.
				if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && err != nil && filepath.Base(v.Source) != "rosters" {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, e := range s.EnvFiles {
				if bool(e.Required) {
					t.Errorf("%s requires %s, which is not of the repository", name, e.Path)
				}
			}
		}
	}
	if grace := *compose(t, "live").Services["worker"].StopGracePeriod; time.Duration(grace) < shutdownTime {
		t.Errorf("a worker is killed after %s, before it has ended by itself", grace)
	}
}

// shutdownTime is what a worker takes at most to end: its default --shutdown-timeout
// and some seconds.
const shutdownTime = 50 * time.Second

// TestComposeDemo runs the processes of the demo as docker-compose.yml has them, in
// the order that it says, until the example batch is finished. What containers do is
// translated: names of services to ports of this machine, mounts to what is mounted.
func TestComposeDemo(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv(redistest.RequireEnv) != "1" {
		t.Skip("redis-server is not on PATH")
	}
	p := compose(t, "demo")
	h := &host{t: t, project: p, addrs: map[string]string{}, started: map[string]*service{}}
	order := p.ServiceNames()
	slices.SortStableFunc(order, func(a, b string) int { return h.depth(a) - h.depth(b) })
	for _, name := range order {
		h.start(name)
	}
	batch := h.started["demo-enqueue"]
	select {
	case <-batch.ended:
	case <-time.After(testutil.WaitLimit):
		t.Fatal("the batch is not finished")
	}
	out := batch.out.String()
	if code := batch.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("the batch ended with %d:\n%s", code, out)
	}
	roster, err := os.ReadFile(filepath.Join(root, "examples", "roster.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(": finished, %d rows, 0 pending\n", strings.Count(string(roster), "\n")-1); !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
}

// host stands for the engine that would run the project.
type host struct {
	t       *testing.T
	project *types.Project
	addrs   map[string]string // by service:port
	started map[string]*service
}

type service struct {
	cmd   *exec.Cmd
	out   *testutil.Buffer
	ended chan struct{}
}

// depth is how many services one after another must be started before one.
func (h *host) depth(name string) int {
	n := 0
	for _, on := range h.project.Services[name].GetDependencies() {
		n = max(n, 1+h.depth(on))
	}
	return n
}

// at is the address on this machine of a service's port.
func (h *host) at(name, port string) string {
	key := name + ":" + port
	if h.addrs[key] == "" {
		h.addrs[key] = testutil.FreeAddr(h.t)
	}
	return h.addrs[key]
}

var (
	named    = regexp.MustCompile(`\b([a-z][a-z-]*):(\d+)\b`)
	anywhere = regexp.MustCompile(`\b0\.0\.0\.0:(\d+)\b`)
)

// translate makes of what a container sees what is there on this machine.
func (h *host) translate(s types.ServiceConfig, text string) string {
	text = anywhere.ReplaceAllStringFunc(text, func(m string) string { return h.at(s.Name, anywhere.FindStringSubmatch(m)[1]) })
	text = named.ReplaceAllStringFunc(text, func(m string) string {
		part := named.FindStringSubmatch(m)
		if _, ok := h.project.Services[part[1]]; !ok {
			return m
		}
		return h.at(part[1], part[2])
	})
	for _, v := range s.Volumes {
		text = strings.ReplaceAll(text, v.Target+"/", v.Source+"/")
	}
	for _, secret := range s.Secrets {
		text = strings.ReplaceAll(text, "/run/secrets/"+secret.Target, h.project.Secrets[secret.Source].File)
	}
	return text
}

// command is a command line inside a service.
func (h *host) command(s types.ServiceConfig, line []string) *exec.Cmd {
	args := make([]string, len(line))
	for i, arg := range line {
		args[i] = h.translate(s, arg)
	}
	if s.Build != nil {
		args[0] = filepath.Join(bin, args[0])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*testutil.WaitLimit)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = h.t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range s.Environment {
		if value != nil {
			cmd.Env = append(cmd.Env, name+"="+h.translate(s, *value))
		}
	}
	return cmd
}

// start starts a service when those it depends on are as it wants them.
func (h *host) start(name string) {
	h.t.Helper()
	s := h.project.Services[name]
	for on, d := range s.DependsOn {
		if d.Condition == types.ServiceConditionHealthy {
			h.healthy(on)
		}
	}
	line := slices.Concat(s.Entrypoint, s.Command)
	if s.Image == "redis:7" { // its image has it at a fixed port, in /data
		_, port, err := net.SplitHostPort(h.at(name, "6379"))
		if err != nil {
			h.t.Fatal(err)
		}
		line = append(line, "--port", port, "--bind", "127.0.0.1")
	}
	r := &service{cmd: h.command(s, line), out: &testutil.Buffer{}, ended: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	h.started[name] = r
	h.t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
		if h.t.Failed() {
			h.t.Logf("%s said:\n%.4000s", name, r.out)
		}
	})
}

// healthy waits until a service's health check passes.
func (h *host) healthy(name string) {
	h.t.Helper()
	s := h.project.Services[name]
	if s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) < 2 {
		h.t.Fatalf("%s has no health check, and another waits for it", name)
	}
	test := s.HealthCheck.Test[1:]
	if s.HealthCheck.Test[0] == "CMD-SHELL" {
		test = []string{"sh", "-c", strings.ReplaceAll(test[0], "redis-cli ", "redis-cli -p "+portOf(h.at(name, "6379"))+" ")}
	}
	testutil.Eventually(h.t, name+" is healthy", func() bool { return h.command(s, test).Run() == nil })
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
