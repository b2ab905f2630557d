package redistest

import (
	"bytes"
	"context"
	"crypto/sha1" // it names scripts, as Redis does
	_ "embed"
	"encoding/hex"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A real server in a test with a fake clock: its scripts must see the test's time, the
// clock must stand still while the server works, and no key may expire because real
// time passes. fakeConn sees to all three.
//
// Every script is sent with a prologue, which answers TIME with the test's time (two
// more arguments) and lets keys live a year longer than they are told to. What depends
// on time and is no script is sent as one. The clock stands still because a read from
// a socket is not a durable wait (see testing/synctest).

//go:embed prologue.lua
var prologue string

// callScript runs the command that its arguments are.
const callScript = "return redis.call(unpack(ARGV))"

// unknownScript is the digest of no script: a server answers NOSCRIPT, and the client
// sends the script's text, which can be changed then.
const unknownScript = "0000000000000000000000000000000000000000"

// scripts maps the digest of each script whose text was sent or loaded to what is sent
// in its place.
var scripts sync.Map

// dialFake connects to a unix socket with a fakeConn.
func dialFake(_ context.Context, network, addr string) (net.Conn, error) {
	conn, err := net.Dial(network, addr) // without ctx: a deadline of the fake clock means nothing here
	if err != nil {
		return nil, err
	}
	return newFakeConn(conn), nil
}

func newFakeConn(conn net.Conn) *fakeConn {
	c := &fakeConn{Conn: conn}
	c.changed = sync.NewCond(&c.mu)

	return c
}

// fakeConn is a connection of one client to a real server. It has no deadlines: no
// time passes while the server works.
type fakeConn struct {
	net.Conn
	partial []byte // the beginning of a command

	mu         sync.Mutex
	changed    *sync.Cond
	subscriber bool // it waits for messages, which a test must not do on a socket
	asked      bool // a subscriber has sent something and has not read the reply
	closed     bool
}

func (c *fakeConn) SetDeadline(time.Time) error      { return nil }
func (c *fakeConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fakeConn) SetWriteDeadline(time.Time) error { return nil }

// Write sends the commands that are complete.
func (c *fakeConn) Write(p []byte) (int, error) {
	c.partial = append(c.partial, p...)
	var out []byte
	for {
		args, size := parseCommand(c.partial)
		if size == 0 {
			break
		}
		c.noteSubscriber(args)
		if changed := withFakeTime(args); changed != nil {
			out = appendCommand(out, changed)
		} else {
			out = append(out, c.partial[:size]...)
		}
		c.partial = c.partial[size:]
	}
	if len(out) > 0 {
		if _, err := c.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (c *fakeConn) noteSubscriber(args []string) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.subscriber = c.subscriber || strings.EqualFold(args[0], "subscribe") || strings.EqualFold(args[0], "psubscribe")
	c.asked = true
	c.changed.Broadcast()
}

// Read reads a reply. A subscriber that expects none waits durably until it sends
// something: messages are not delivered.
func (c *fakeConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.subscriber && !c.asked && !c.closed {
		c.changed.Wait()
	}
	c.asked = false
	c.mu.Unlock()

	return c.Conn.Read(p)
}

// Close closes the connection and ends a Read that waits.
func (c *fakeConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()

	return c.Conn.Close()
}

// withFakeTime returns the command to send in place of one that depends on the
// server's clock, or nil.
func withFakeTime(args []string) []string {
	var changed []string
	switch strings.ToLower(args[0]) {
	case "script":
		if len(args) != 3 || !strings.EqualFold(args[1], "load") {
			return nil
		}
		withPrologue(args[2])
		return []string{"echo", digest(args[2])}
	case "eval":
		changed = append([]string{args[0], withPrologue(args[1])}, args[2:]...)
	case "evalsha":
		// The server may know the script itself from a test with real time.
		if text, ok := scripts.Load(args[1]); ok {
			changed = append([]string{"eval", text.(string)}, args[2:]...)
		} else {
			changed = append([]string{args[0], unknownScript}, args[2:]...)
		}
	case "time", "expire", "pexpire", "ttl", "pttl", "setex", "psetex":
		changed = append([]string{"eval", prologue + callScript, "0"}, args...)
	case "set":
		if len(args) == 3 {
			return nil
		}
		changed = append([]string{"eval", prologue + callScript, "0"}, args...)
	default:
		return nil
	}

	now := time.Now()
	return append(changed, strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond()/1000))
}

// withPrologue returns what is sent in place of a script, and keeps it for EVALSHA.
func withPrologue(script string) string {
	text := prologue + script
	scripts.Store(digest(script), text)

	return text
}

func digest(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

// parseCommand reads the first command of b, an array of bulk strings. It returns
// its arguments and its size in bytes, 0 if it is not complete.
func parseCommand(b []byte) (args []string, size int) {
	count, at, ok := parseLength(b, 0, '*')
	if !ok || count == 0 {
		return nil, 0
	}
	for range count {
		n, from, ok := parseLength(b, at, '$')
		if !ok || from+n+2 > len(b) {
			return nil, 0
		}
		args = append(args, string(b[from:from+n]))
		at = from + n + 2
	}
	return args, at
}

// parseLength reads a line such as "*3" at an offset. It returns the number and the
// offset behind the line.
func parseLength(b []byte, at int, kind byte) (n, next int, ok bool) {
	if at >= len(b) {
		return 0, 0, false
	}
	end := bytes.Index(b[at:], []byte("\r\n"))
	if end < 0 {
		return 0, 0, false
	}
	n, err := strconv.Atoi(string(b[at+1 : at+end]))
	if err != nil || b[at] != kind {
		panic("redistest: a client sent what is no command")
	}
	return n, at + end + 2, true
}

func appendCommand(b []byte, args []string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(args)), 10)
	for _, a := range args {
		b = append(b, "\r\n$"...)
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, "\r\n"...)
		b = append(b, a...)
	}
	return append(b, "\r\n"...)
}
