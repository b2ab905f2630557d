package tasks

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

func TestInvites(t *testing.T) {
	redistest.Suite(t, map[string]func(*testing.T, *redis.Client){
		"five a request":               testPacked,
		"one malformed":                testMalformed,
		"one refuses":                  testOneRefuses,
		"two refuse":                   testTwoRefuse,
		"fails before the others came": testFailFast,
		"no group call":                testPeerCall,
		"one bot a request":            testBots,
		"answer lost":                  testAnswerLost,
		"never arrived":                testNeverArrived,
		"some of a lost request came":  testSomeCame,
		"no answer":                    testNoAnswer,
		"already present":              testAlreadyPresent,
		"present until a delete":       testPresentUntilDelete,
		"crowd":                        testCrowd,
		"crowd and a lost answer":      testCrowdLost,
		"three endpoints":              testThreeEndpoints,
		"second endpoint in trouble":   testSecondEndpoint,
		"delete cancels ringing":       testDeleteCancels,
		"delete waits for ringing":     testDeleteWaits,
		"delete waits for no answer":   testDeleteWaitsNoAnswer,
		"invite waits for ringing":     testInviteWaits,
		"cancelled while ringing":      testCancelledRinging,
		"expired while ringing":        testExpiredRinging,
		"look task lost":               testLookLost,
		"accept only":                  testAcceptOnly,
		"throttled between singles":    testThrottledSingles,
		"roster unreadable":            testRosterUnreadable,
		"roster unreadable at first":   testRosterTrouble,
	})
}

const short = 3 * time.Second // to wait for somebody in these tests

// inviteList is a file of invites of users to one call.
func inviteList(call string, users ...string) string {
	var b strings.Builder
	b.WriteString("action,call_id,user_id\n")
	for _, u := range users {
		fmt.Fprintf(&b, "invite,%s,%s\n", call, u)
	}
	return b.String()
}

func people(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("u-%d", i)
	}
	return out
}

// kinds are how many requests of a kind were sent.
func (w *world) kinds(kind string) int { return w.sim.Counters().ByKind[kind] }

// wantRung makes sure that nobody was rung twice.
func (w *world) wantRung(people int) {
	w.t.Helper()
	rung := 0
	for id, call := range w.sim.State().Calls {
		for who, n := range call.Rings {
			rung++
			if n > 1 {
				w.t.Errorf("%s: %s was rung %d times", id, who, n)
			}
		}
	}
	if rung != people {
		w.t.Errorf("%d people were rung, want %d", rung, people)
	}
}

func all(n int, o ledger.Outcome) []ledger.Outcome {
	out := make([]ledger.Outcome, n)
	for i := range out {
		out[i] = o
	}
	return out
}

func (w *world) faults(f graphsim.Faults) {
	w.t.Helper()
	if err := w.sim.SetFaults(f); err != nil {
		w.t.Fatal(err)
	}
}

// sent waits until Graph has got so many invitations.
func (w *world) sent(n int) {
	w.t.Helper()
	testutil.Eventually(w.t, "the invitations are sent", func() bool { return w.kinds("invite") >= n })
}

// invited has a file of invites carried out, with these outcomes.
func invited(t *testing.T, rdb *redis.Client, cfg graphsim.Config, csv string, want ...ledger.Outcome) (*world, ledger.Batch) {
	t.Helper()
	w := newWorld(t, rdb, cfg)
	b := w.enqueue(csv)
	w.work(confirmWithin(short))
	w.finish(b)
	w.wantOutcomes(b, want...)
	return w, b
}

func testPacked(t *testing.T, rdb *redis.Client) {
	w, _ := invited(t, rdb, graphsim.Config{RingMin: 100 * time.Millisecond, RingMax: time.Second},
		inviteList("c", people(23)...),
		all(23, ledger.Joined)...)
	w.wantRung(23)
	if n := w.kinds("invite"); n != 5 {
		t.Errorf("%d invitations for 23 people", n)
	}
}

func testMalformed(t *testing.T, rdb *redis.Client) {
	w, b := invited(t, rdb, graphsim.Config{},
		inviteList("c", "u-1", "u-2", "malformed-3", "u-4", "u-5"),
		ledger.Joined, ledger.Joined, ledger.Rejected, ledger.Joined, ledger.Joined)
	w.wantRung(4)
	for i, r := range w.rows(b) {
		if r.Attempts != 1 || (r.Status == 400) != (i == 2) {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
}

func testOneRefuses(t *testing.T, rdb *redis.Client) {
	w, b := invited(t, rdb, graphsim.Config{RingMax: 500 * time.Millisecond},
		"action,call_id,user_id,phone\ninvite,c,u-1,\ninvite,c,u-2,\ninvite,c,refuses-3,\ninvite,c,,+14255550100\ninvite,c,u-5,\n",
		ledger.Joined, ledger.Joined, ledger.Declined, ledger.Joined, ledger.Joined)
	w.wantRung(5)
	if r := w.rows(b)[2]; r.Code != "403" || !strings.Contains(r.Detail, "refuses-3") || !strings.Contains(r.Detail, "declined the invitation") || r.RequestID == "" {
		t.Errorf("%+v", r)
	}
}

// testTwoRefuse: Graph has one message for a request, which names one of them.
func testTwoRefuse(t *testing.T, rdb *redis.Client) {
	w, b := invited(t, rdb, graphsim.Config{RingMax: 500 * time.Millisecond},
		inviteList("c", "u-1", "refuses-2", "u-3", "refuses-4", "u-5"),
		ledger.Joined, ledger.Declined, ledger.Joined, ledger.Declined, ledger.Joined)
	named := 0
	for _, r := range w.rows(b) {
		if strings.Contains(r.Detail, "refuses-") {
			named++
		}
	}
	if named != 1 {
		t.Errorf("%d rows have the reason that is about one: %+v", named, w.rows(b))
	}
}

// testFailFast: an operation that failed for one says nothing about the others.
func testFailFast(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{FailFast: true, RingMin: 2500 * time.Millisecond, RingMax: 2600 * time.Millisecond})
	b := w.enqueue(inviteList("c", "u-1", "refuses-2", "u-3"))
	w.work(confirmWithin(5 * time.Second))
	w.finish(b)
	w.wantOutcomes(b, ledger.Joined, ledger.Declined, ledger.Joined)
}

func testPeerCall(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	b := w.enqueue(inviteList("peer-1", people(12)...))
	w.work(confirmWithin(short), func(cfg *WorkerConfig) { cfg.Concurrency = 1 })
	w.finish(b)
	w.wantOutcomes(b, all(12, ledger.Joined)...)
	w.wantRung(12)
	if n := w.kinds("invite"); n != 13 {
		t.Errorf("%d invitations: one refused and 12 single ones were enough", n)
	}
}

func testBots(t *testing.T, rdb *redis.Client) {
	w, _ := invited(t, rdb, graphsim.Config{},
		"action,call_id,user_id,application_id\ninvite,c,u-1,\ninvite,c,,a-1\ninvite,c,,a-2\ninvite,c,u-2,\n",
		all(4, ledger.Joined)...)
	if n := w.sim.Counters().ByStatus["400"]; n != 0 || w.kinds("invite") != 2 {
		t.Errorf("%d requests were refused, of %d", n, w.kinds("invite"))
	}
}

func testAnswerLost(t *testing.T, rdb *redis.Client) {
	w, b := invited(t, rdb, graphsim.Config{RingMax: time.Second, Faults: graphsim.Faults{"invite.lost": 0.5, "invite.gateway": 0.5}},
		inviteList("c", people(20)...),
		all(20, ledger.Joined)...)
	w.wantRung(20)
	if r := w.rows(b)[0]; r.Status != 200 || r.Attempts != 1 || r.RequestID == "" {
		t.Errorf("%+v", r)
	}
}

func testNeverArrived(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{Faults: graphsim.Faults{"invite.unavailable": 0.5, "invite.reset": 0.5}})
	b := w.enqueue(inviteList("c", people(10)...))
	w.work(confirmWithin(short))
	w.sent(2)
	w.faults(nil)
	w.finish(b)
	w.wantOutcomes(b, all(10, ledger.Joined)...)
	w.wantRung(10)
	for i, r := range w.rows(b) {
		if r.Attempts != 2 {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
}

// testSomeCame: who did not answer is not rung again because the answer to the
// request was lost, if others show that it arrived.
func testSomeCame(t *testing.T, rdb *redis.Client) {
	w, _ := invited(t, rdb, graphsim.Config{RingMax: 500 * time.Millisecond, Faults: graphsim.Faults{"invite.lost": 1}},
		inviteList("c", "u-1", "noanswer-2", "u-3", "refuses-4"),
		ledger.Joined, ledger.Unresolved, ledger.Joined, ledger.Unresolved)
	w.wantRung(4)
}

func testNoAnswer(t *testing.T, rdb *redis.Client) {
	// Operations cannot be read: only time tells.
	w, b := invited(t, rdb, graphsim.Config{RingMax: time.Second, OperationLife: -1},
		inviteList("c", "u-1", "noanswer-2"),
		ledger.Joined, ledger.Declined)
	if r := w.rows(b)[1]; !strings.Contains(r.Detail, "no answer") || r.Attempts != 1 || r.At.Sub(b.CreatedAt) < short {
		t.Errorf("%+v", r)
	}
	w.wantRung(2)
}

func testAlreadyPresent(t *testing.T, rdb *redis.Client) {
	const guid = "81e74ef5-e8e2-4d94-9ed9-04759531985d"
	w := newWorld(t, rdb, graphsim.Config{})
	w.sim.AddParticipant("c", graphsim.Participant{Kind: "user", Identity: guid})
	w.sim.AddParticipant("c", graphsim.Participant{Kind: "phone", Identity: "+14255550100", InLobby: true})
	b := w.enqueue("action,call_id,user_id,phone\ninvite,c," + strings.ToUpper(guid) + ",\ninvite,c,u-1,\ninvite,c,,+14255550100\n")
	w.work(confirmWithin(short))
	w.finish(b)
	w.wantOutcomes(b, ledger.AlreadyPresent, ledger.Joined, ledger.AlreadyPresent)
	w.wantRung(1)
	if r := w.rows(b)[0]; r.Attempts != 0 || r.RequestID == "" {
		t.Errorf("%+v", r)
	}
}

// testPresentUntilDelete: who was removed by their participant id a moment ago is
// invited, although a roster that was read before shows them.
func testPresentUntilDelete(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	w.work(confirmWithin(short), func(cfg *WorkerConfig) { cfg.SnapshotLife = 30 * time.Second })
	w.sim.AddParticipant("c", graphsim.Participant{ID: "p-1", Kind: "user", Identity: "u-1"})
	w.sim.AddParticipant("c", graphsim.Participant{ID: "p-2", Kind: "user", Identity: "u-2"})
	first := w.enqueue(inviteList("c", "u-1")) // reads the roster
	w.finish(first)
	w.wantOutcomes(first, ledger.AlreadyPresent)
	gone := w.enqueue("action,call_id,participant_id\ndelete,c,p-1\n")
	w.finish(gone)
	second := w.enqueue(inviteList("c", "u-1", "u-2", "u-3"))
	w.finish(second)
	w.wantOutcomes(second, ledger.Joined, ledger.AlreadyPresent, ledger.Joined)
}

func (w *world) crowd(call string, n int) {
	for i := range n {
		w.sim.AddParticipant(call, graphsim.Participant{Kind: "user", Identity: fmt.Sprintf("there-%d", i)})
	}
}

// testCrowd: a roster of 100 proves nothing about those whom it does not show.
func testCrowd(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMax: 500 * time.Millisecond})
	w.crowd("c", 300)
	b := w.put(w.request("action,call_id,user_id\ninvite,c,u-1\ninvite,c,u-2\ninvite,c,there-5\ninvite,c,u-3\ndelete,c,there-250\ndelete,c,there-7\n", false))
	w.work(confirmWithin(short))
	w.finish(b)
	w.wantOutcomes(b, ledger.Joined, ledger.Joined, ledger.AlreadyPresent, ledger.Joined, ledger.Unresolved, ledger.Removed)
	w.wantRung(3)
}

func testCrowdLost(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMax: 500 * time.Millisecond, OperationLife: -1, Faults: graphsim.Faults{"invite.lost": 1}})
	w.crowd("c", 300)
	lost := w.enqueue(inviteList("c", "u-1", "u-2"))
	w.work(confirmWithin(short))
	w.sent(1)
	w.faults(nil)
	known := w.enqueue(inviteList("c", "u-3"))
	w.finish(lost, known)
	w.wantOutcomes(lost, ledger.Unresolved, ledger.Unresolved)
	w.wantOutcomes(known, ledger.Invited) // and its operation is gone
	w.wantRung(3)
	if n := w.kinds("invite"); n != 2 {
		t.Errorf("%d invitations", n)
	}
}

func testThreeEndpoints(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{})
	for range 3 {
		w.sim.AddParticipant("c", graphsim.Participant{Kind: "user", Identity: "u-1"})
	}
	b := w.put(w.request("action,call_id,user_id\ndelete,c,u-1\n", false))
	w.work()
	w.finish(b)
	w.wantOutcomes(b, ledger.Removed)
	if n := len(w.sim.State().Calls["c"].Participants); n != 0 {
		t.Errorf("%d endpoints are left", n)
	}
	if r := w.rows(b)[0]; !strings.Contains(r.Detail, "3 endpoints") {
		t.Errorf("%+v", r)
	}
}

// testSecondEndpoint: one endpoint is removed, the next makes trouble and is then
// gone by itself: the row did remove somebody.
func testSecondEndpoint(t *testing.T, rdb *redis.Client) {
	var deletes atomic.Int64
	w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			entry := `{"id":"p-%d","info":{"identity":{"user":{"id":"u-1"}}}}`
			list := []string{fmt.Sprintf(entry, 1), fmt.Sprintf(entry, 2)}
			if deletes.Load() > 0 {
				list = nil
			}
			_, _ = fmt.Fprintf(rw, `{"value":[%s]}`, strings.Join(list, ","))
			return
		}
		if deletes.Add(1) == 2 {
			rw.WriteHeader(503)
			return
		}
		rw.Header().Set("request-id", "the-first")
		rw.WriteHeader(204)
	}))
	b := w.enqueue("action,call_id,user_id\ndelete,c,u-1\n")
	w.work(confirmWithin(short))
	w.finish(b)
	w.wantOutcomes(b, ledger.Removed)
	if r := w.rows(b)[0]; r.Status != 204 || r.RequestID != "the-first" {
		t.Errorf("%+v", r)
	}
}

func (w *world) present(call, identity string) bool {
	for _, p := range w.sim.State().Calls[call].Participants {
		if p.Identity == identity {
			return true
		}
	}
	return false
}

func testDeleteCancels(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: 5 * time.Second, RingMax: 5 * time.Second})
	w.work(confirmWithin(8 * time.Second))
	invite := w.enqueue("action,call_id,participant_id,user_id\ninvite,c,p-1,u-1\n")
	w.sent(1)
	remove := w.put(w.request("action,call_id,participant_id\ndelete,c,p-1\n", false))
	w.finish(remove, invite)
	w.wantOutcomes(remove, ledger.Removed)
	w.wantOutcomes(invite, ledger.Superseded)
	if w.present("c", "u-1") {
		t.Error("they are in the call")
	}
}

func testDeleteWaits(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: 2 * time.Second, RingMax: 2 * time.Second})
	w.work(confirmWithin(6 * time.Second))
	invite := w.enqueue(inviteList("c", "u-1"))
	w.sent(1)
	remove := w.put(w.request("action,call_id,user_id\ndelete,c,u-1\n", false))
	w.finish(invite, remove)
	w.wantOutcomes(remove, ledger.Removed)
	if w.present("c", "u-1") {
		t.Error("they are in the call")
	}
	// It depends on who looks first whether the invite was seen to succeed.
	if o := w.rows(invite)[0].Outcome; o != ledger.Joined && o != ledger.Superseded {
		t.Errorf("the invite is %s", o)
	}
}

func testDeleteWaitsNoAnswer(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: 2 * time.Second, RingMax: 2 * time.Second})
	w.work(confirmWithin(6 * time.Second))
	invite := w.enqueue(inviteList("c", "noanswer-1"))
	w.sent(1)
	remove := w.put(w.request("action,call_id,user_id\ndelete,c,noanswer-1\n", false))
	w.finish(invite, remove)
	w.wantOutcomes(remove, ledger.AlreadyRemoved)
	w.wantOutcomes(invite, ledger.Superseded)
	if at := w.rows(remove)[0].At; at.Sub(w.status(invite).CreatedAt) < 2*time.Second {
		t.Errorf("the delete was done while they were rung")
	}
}

// testInviteWaits: a second file with the same person does not ring them while
// they are being rung.
func testInviteWaits(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: 2 * time.Second, RingMax: 2 * time.Second})
	w.work(confirmWithin(6 * time.Second))
	first := w.enqueue(inviteList("c", "u-1"))
	w.sent(1)
	second := w.enqueue(inviteList("c", "u-1", "u-2"))
	w.finish(first, second)
	w.wantOutcomes(second, ledger.AlreadyPresent, ledger.Joined)
	w.wantRung(2)
}

// testCancelledRinging: whoever was rung when a batch was cancelled has an
// outcome that says what came of it, and nobody is rung after it.
func testCancelledRinging(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: 2 * time.Second, RingMax: 2 * time.Second})
	w.work(confirmWithin(4 * time.Second))
	b := w.enqueue(inviteList("c", "u-1", "noanswer-2"))
	w.sent(1)
	if err := w.q.Cancel(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.faults(graphsim.Faults{"invite.unavailable": 1})
	late := w.enqueue(inviteList("d", "u-3"))
	w.sent(2)
	if err := w.q.Cancel(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	w.faults(nil)
	w.finish(b, late)
	w.wantOutcomes(b, ledger.Joined, ledger.Declined)
	w.wantOutcomes(late, ledger.Cancelled)
	w.wantRung(2)
	if st := w.status(b); st.State != ledger.Stopped {
		t.Errorf("the batch is %s", st.State)
	}
}

func testExpiredRinging(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: 2 * time.Second, RingMax: 2 * time.Second})
	r := w.request(inviteList("c", "u-1"), true)
	r.Expire = time.Second
	b := w.put(r)
	w.work(confirmWithin(4*time.Second), func(cfg *WorkerConfig) { cfg.SweepEvery = 300 * time.Millisecond })
	w.finish(b)
	w.wantOutcomes(b, ledger.Joined)
}

// testLookLost: the task that was to look is lost; the sweeper puts it back, for
// a cancelled batch, too.
func testLookLost(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: time.Second, RingMax: time.Second})
	stop := w.work(confirmWithin(short))
	b, c := w.enqueue(inviteList("c", "u-1")), w.enqueue(inviteList("c", "u-2"))
	w.sent(2)
	stop()
	if err := w.q.Cancel(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.dropQueue()
	w.work(confirmWithin(short), func(cfg *WorkerConfig) { cfg.SweepEvery = 100 * time.Millisecond })
	w.finish(b, c)
	w.wantOutcomes(b, ledger.Joined)
	w.wantOutcomes(c, ledger.Joined)
	w.wantRung(2)
}

func testAcceptOnly(t *testing.T, rdb *redis.Client) {
	w := newWorld(t, rdb, graphsim.Config{RingMin: time.Second, RingMax: time.Second})
	w.work(confirmWithin(short), func(cfg *WorkerConfig) { cfg.AcceptOnly = true })
	b := w.enqueue(inviteList("c", "u-1", "noanswer-2"))
	w.finish(b)
	w.wantOutcomes(b, ledger.Invited, ledger.Invited)
	if at := w.rows(b)[0].At; at.Sub(b.CreatedAt) > short {
		t.Errorf("it took %s", at.Sub(b.CreatedAt))
	}
	// A delete knows that they may still be ringing.
	remove := w.put(w.request("action,call_id,user_id\ndelete,c,u-1\n", false))
	w.finish(remove)
	w.wantOutcomes(remove, ledger.Removed)
	// An answer that was lost is looked for all the same.
	w.faults(graphsim.Faults{"invite.lost": 1})
	lost := w.enqueue(inviteList("c", "u-3"))
	w.finish(lost)
	w.wantOutcomes(lost, ledger.Joined)
	w.wantRung(3)
}

// testThrottledSingles: a pack is refused, and Graph throttles while its people
// are invited one by one.
func testThrottledSingles(t *testing.T, rdb *redis.Client) {
	var posts atomic.Int64
	sim, err := graphsim.New(graphsim.Config{AutoCalls: true})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && posts.Add(1) == 3 {
			rw.Header().Set("Retry-After", "1")
			rw.WriteHeader(429)
			return
		}
		sim.ServeHTTP(rw, r)
	}))
	w.sim = sim
	b := w.enqueue(inviteList("c", "u-1", "u-2", "malformed-3", "u-4", "u-5"))
	w.work(confirmWithin(short))
	w.finish(b)
	w.wantOutcomes(b, ledger.Joined, ledger.Joined, ledger.Rejected, ledger.Joined, ledger.Joined)
	w.wantRung(4)
	for i, r := range w.rows(b) {
		if r.Attempts != 1 {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
}

// unreadable is a Graph whose rosters answer with a status, the first n times.
func unreadable(t *testing.T, rdb *redis.Client, status int, n int64, cfg graphsim.Config) *world {
	t.Helper()
	sim, err := graphsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var gets atomic.Int64
	w := newWorldWith(t, rdb, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/participants") && gets.Add(1) <= n {
			rw.WriteHeader(status)
			return
		}
		sim.ServeHTTP(rw, r)
	}))
	w.sim = sim
	return w
}

// testRosterUnreadable: where Graph does not show rosters at all, its operations
// tell, and if they do not, nobody claims to know.
func testRosterUnreadable(t *testing.T, rdb *redis.Client) {
	w := unreadable(t, rdb, 403, 1e9, graphsim.Config{RingMax: time.Second})
	w.work(confirmWithin(short))
	b := w.enqueue(inviteList("c", "u-1", "u-2"))
	c := w.enqueue(inviteList("c", "noanswer-3", "u-4"))
	w.finish(b, c)
	w.wantOutcomes(b, ledger.Joined, ledger.Joined)
	w.wantOutcomes(c, ledger.Declined, ledger.Invited)
	w.wantRung(4)
}

func testRosterTrouble(t *testing.T, rdb *redis.Client) {
	w := unreadable(t, rdb, 503, 4, graphsim.Config{})
	w.work(confirmWithin(short))
	b := w.enqueue(inviteList("c", "u-1", "u-2"))
	w.finish(b)
	w.wantOutcomes(b, ledger.Joined, ledger.Joined)
	w.wantRung(2)
}
