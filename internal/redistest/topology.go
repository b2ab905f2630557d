package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

// StartTCP is StartServer for a server that listens on a loopback port, too. It
// returns the port's address, which stays the same over Kill and Start.
func StartTCP(t testing.TB, args ...string) (s *Server, addr string) {
	t.Helper()

	const tries = 5 // another program may take the port first
	var err error
	for range tries {
		addr = testutil.FreeAddr(t)
		_, port, _ := net.SplitHostPort(addr)
		s, err = startServer(t, append([]string{"--port", port, "--bind", "127.0.0.1"}, args...)...)
		if err == nil {
			return s, addr
		}
	}
	t.Fatal(err)

	return nil, ""
}

// Sentinels are a master with one replica, and three sentinels that watch them.
type Sentinels struct {
	Master, Replica *Server
	Addrs           []string // the sentinels'
}

// masterName is what the sentinels call the master.
const masterName = "events"

// StartSentinels starts them, and waits until they know one another. The master
// is held for dead after a second and a half.
func StartSentinels(t testing.TB) *Sentinels {
	t.Helper()
	s := new(Sentinels)
	var master, replica string
	s.Master, master = StartTCP(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master)
	s.Replica, replica = StartTCP(t, "--replicaof", host+" "+port)
	testutil.Eventually(t, "the replica has all of the master", func() bool {
		return info(t, s.Replica, "replication")["master_link_status"] == "up"
	})
	for range 3 {
		s.Addrs = append(s.Addrs, startSentinel(t, host, port))
	}
	for _, addr := range s.Addrs {
		c := redis.NewSentinelClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { _ = c.Close() })
		testutil.Eventually(t, "the sentinels know one another and the replica", func() bool {
			others, err1 := c.Sentinels(t.Context(), masterName).Result()
			replicas, err2 := c.Replicas(t.Context(), masterName).Result()
			return err1 == nil && err2 == nil && len(others) == 2 && len(replicas) == 1 && replicas[0]["port"] == replica[strings.LastIndexByte(replica, ':')+1:]
		})
	}
	return s
}

// URL names them for --redis.
func (s *Sentinels) URL() string {
	return "redis-sentinel://" + strings.Join(s.Addrs, ",") + "/0?master=" + masterName
}

func startSentinel(t testing.TB, host, port string) (addr string) {
	t.Helper()
	dir, addr := t.TempDir(), testutil.FreeAddr(t)
	conf := filepath.Join(dir, "sentinel.conf") // it writes there what it learns
	text := fmt.Sprintf("sentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %[1]s 1500\nsentinel failover-timeout %[1]s 6000\n", masterName, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, own, _ := net.SplitHostPort(addr)
	cmd := command(conf, "--sentinel", "--port", own, "--bind", "127.0.0.1", "--dir", dir, "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return addr
}

// info reads a section of a server's INFO.
func info(t testing.TB, s *Server, section string) map[string]string {
	t.Helper()
	text, err := s.admin.Info(context.Background(), section).Result()
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			out[name] = value
		}
	}
	return out
}

// Cluster is a Redis Cluster of masters.
type Cluster struct {
	t      testing.TB
	Nodes  []*Server
	Addrs  []string
	ids    []string
	Client *redis.ClusterClient
}

const slots = 16384

// StartCluster starts n masters that share the slots evenly.
func StartCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	ctx := t.Context()
	c := &Cluster{t: t}
	var first []any // where the others meet the first node
	for i := range n {
		_, bus, _ := net.SplitHostPort(testutil.FreeAddr(t))
		s, addr := StartTCP(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", bus)
		c.Nodes, c.Addrs = append(c.Nodes, s), append(c.Addrs, addr)
		id, err := s.admin.Do(ctx, "cluster", "myid").Text()
		if err == nil {
			err = s.admin.Do(ctx, "cluster", "addslotsrange", i*slots/n, (i+1)*slots/n-1).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
		c.ids = append(c.ids, id)
		if i == 0 {
			host, port, _ := net.SplitHostPort(addr)
			first = []any{"cluster", "meet", host, port, bus}
		} else if err := s.admin.Do(ctx, first...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	testutil.Eventually(t, "the cluster is whole", func() bool {
		for _, s := range c.Nodes {
			text, err := s.admin.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, fmt.Sprintf("cluster_known_nodes:%d", n)) {
				return false
			}
		}
		return true
	})
	c.Client = redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs})
	t.Cleanup(func() { _ = c.Client.Close() })
	return c
}

// URL names it for --redis.
func (c *Cluster) URL() string { return "redis-cluster://" + strings.Join(c.Addrs, ",") }

// MoveSlot moves the slot of a key to the next node, key by key, as a reshard
// does. It returns how many keys were moved.
func (c *Cluster) MoveSlot(key string) (moved int) {
	c.t.Helper()
	ctx := c.t.Context()
	slot, err := c.Client.ClusterKeySlot(ctx, key).Result()
	check := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	check(err)
	from := 0
	for int(slot) >= (from+1)*slots/len(c.Nodes) {
		from++
	}
	to := (from + 1) % len(c.Nodes)
	source, target := c.Nodes[from].admin, c.Nodes[to].admin
	check(target.Do(ctx, "cluster", "setslot", slot, "importing", c.ids[from]).Err())
	check(source.Do(ctx, "cluster", "setslot", slot, "migrating", c.ids[to]).Err())
	host, port, _ := net.SplitHostPort(c.Addrs[to])
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, int(slot), 10).Result()
		check(err)
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", host, port, "", 0, 5000, "keys"}
		for _, k := range keys {
			args = append(args, k)
		}
		check(source.Do(ctx, args...).Err())
		moved += len(keys)
	}
	for _, n := range []*redis.Client{target, source} {
		check(n.Do(ctx, "cluster", "setslot", slot, "node", c.ids[to]).Err())
	}
	return moved
}
