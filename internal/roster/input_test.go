package roster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const one, two = "action,call_id,user_id\ndelete,c,u1\n", "action,call_id,phone\ninvite,c,+14255550100\ninvite,c,+14255550101\n"

func TestSeveralFilesAndStdin(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.csv", one)
	in, err := Open([]string{"a.csv", "-"}, strings.NewReader(gz(two)))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	list, sum := rows(t, in, Options{})
	equal(t, briefs(list), []string{"1@2 delete /c user:u1", "2@2 invite /c phone:+14255550100", "3@3 invite /c phone:+14255550101"})
	if list[0].file != 0 || list[2].file != 1 || sum.Files[1].Name != "stdin" {
		t.Errorf("files %+v", sum.Files)
	}
	again, _ := rows(t, in, Options{})
	equal(t, briefs(again), briefs(list))
}

// TestSum checks that the sum depends on content and on nothing else.
func TestSum(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.csv", one)
	write(t, "a.gz", gz("\xef\xbb\xbf"+one))
	write(t, "b.csv", two)
	write(t, "ab.csv", one+two)
	sum := func(names ...string) [32]byte {
		t.Helper()
		s, err := open(t, names...).Check(t.Context(), Options{SkipInvalid: true})
		if err != nil {
			t.Fatal(err)
		}
		return s.Sum
	}
	if sum("a.csv", "b.csv") != sum("a.gz", "b.csv") {
		t.Error("name and encoding count")
	}
	for _, other := range [][]string{{"b.csv", "a.csv"}, {"a.csv"}, {"a.csv", "b.csv", "a.csv"}, {"ab.csv"}} {
		if sum("a.csv", "b.csv") == sum(other...) {
			t.Errorf("the sum of %v is the same", other)
		}
	}
}

func TestRenamedAndChanged(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.csv", one)
	in := open(t, "a.csv")
	nothing := func(Record) error { return nil }
	if err := in.Each(t.Context(), Options{}, nothing, nil); !errors.Is(err, ErrNotChecked) {
		t.Errorf("unchecked: %v", err)
	}
	if _, err := in.Check(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("a.csv", "b.csv"); err != nil {
		t.Fatal(err)
	}
	write(t, "a.csv", two)
	if err := in.Each(t.Context(), Options{}, nothing, nil); err != nil {
		t.Errorf("renamed: %v", err)
	}
	for _, text := range []string{one + "delete,c,u2\n", strings.Replace(one, "u1", "u2", 1), one[:20], "", one + "\"", "PK\x03\x04"} {
		write(t, "b.csv", text) // the file that is open, in place
		err := in.Each(t.Context(), Options{}, nothing, nil)
		if !errors.Is(err, ErrChanged) || !strings.HasPrefix(err.Error(), "a.csv: ") {
			t.Errorf("changed to %q: %v", text, err)
		}
	}
}

func TestCallbackErrors(t *testing.T) {
	in := openText(t, head+"delete,c,u,,,\ndelete,c,,,,\n")
	sum, err := in.Check(t.Context(), Options{})
	if invalid := (*InvalidError)(nil); !errors.As(err, &invalid) || sum == nil || sum.Rejected != 1 {
		t.Fatalf("got %v, %v", sum, err)
	}
	want := errors.New("enough")
	err = in.Each(t.Context(), Options{}, func(Record) error { return want }, nil)
	if err != want { //nolint:errorlint // returned as it is
		t.Errorf("row: %v", err)
	}
	err = in.Each(t.Context(), Options{}, func(Record) error { return nil }, func(i Invalid) error {
		if i.Line != 3 || len(i.Errors) != 1 || i.Cells[0] != "delete" {
			t.Errorf("invalid row %+v", i)
		}
		return io.EOF
	})
	if err != io.EOF { //nolint:errorlint // returned as it is
		t.Errorf("invalid: %v", err)
	}
}

// TestSpooling has standard input that fails, never ends, or is not there yet.
func TestSpooling(t *testing.T) {
	check := func(ctx context.Context, r io.Reader, o Options) error {
		t.Helper()
		in, err := Open([]string{"-"}, r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = in.Check(ctx, o)
		if _, again := in.Check(ctx, o); again == nil || again.Error() != err.Error() {
			t.Errorf("again: %v, first: %v", again, err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		return err
	}
	broken := errors.New("broken")
	err := check(t.Context(), io.MultiReader(strings.NewReader(one), readerFunc(func([]byte) (int, error) { return 0, broken })), Options{})
	if !errors.Is(err, broken) {
		t.Errorf("broken: %v", err)
	}

	endless := readerFunc(func(p []byte) (int, error) { return len(p), nil })
	err = check(t.Context(), endless, Options{Limits: Limits{Bytes: 1 << 20}})
	if want := "stdin: the input is larger than 1 MiB"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("endless: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	waiting := readerFunc(func(p []byte) (int, error) { cancel(); return r.Read(p) })
	if err := check(ctx, waiting, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := openText(t, one)
	if _, err := in.Check(ctx, Options{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := in.Each(ctx, Options{}, func(Record) error { return nil }, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// big writes a file of n rows, which differ by their number only, and opens it.
func big(t testing.TB, n int, header, format string) *Input {
	t.Helper()
	name := t.TempDir() + "/big.csv"
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, header)
	for i := range n {
		fmt.Fprintf(w, format, i)
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return open(t, name)
}

// TestMemory reads a large file and looks at the heap on the way: it must not
// grow with the rows.
func TestMemory(t *testing.T) {
	const n, most = 200_000, 4 << 20
	in := big(t, n, "action,call_id,user_id", "delete,c,u-%d\n")
	if _, err := in.Check(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var got int64
	err := in.Each(t.Context(), Options{}, func(r Record) error {
		if got = r.Change.Row; got%50_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&during)
			if grown := int64(during.HeapInuse) - int64(before.HeapInuse); grown > most {
				t.Errorf("%d bytes more in use after %d rows", grown, got)
			}
		}
		return nil
	}, nil)
	if err != nil || got != n {
		t.Errorf("%d rows, %v", got, err)
	}
}

// TestLongLine has a line of 64 MiB, which must not be taken into memory.
func TestLongLine(t *testing.T) {
	line := bytes.Repeat([]byte("x"), 1<<16)
	sent := 0
	text := io.MultiReader(strings.NewReader(head+"delete,c,"), readerFunc(func(p []byte) (int, error) {
		if sent >= 64<<20 {
			return 0, io.EOF
		}
		n := copy(p, line)
		sent += n
		return n, nil
	}))
	g := newGuard(text, ',', 1<<20)
	n, err := io.Copy(io.Discard, g)
	if err != (longError{2, 3}) || n > 1<<20+100 || sent > 2<<20 { //nolint:errorlint // returned as it is
		t.Errorf("passed %d bytes, %v", n, err)
	}
}

// packed repeats text until it is at least n bytes, as a gzip file of many
// members: to pack one of them again and again would take as long as the test.
func packed(text string, n int) io.Reader {
	const once = 1 << 20
	member := gz(strings.Repeat(text, once/len(text)+1))
	var all []io.Reader
	for range n/once + 1 {
		all = append(all, strings.NewReader(member))
	}
	return io.MultiReader(all...)
}

// TestBomb unpacks what is all one row: it must stop soon.
func TestBomb(t *testing.T) {
	const row = "delete,5b6e2c1a-7d5f-4b8e-9a61-000000000001,u,,,\n"
	r, err := decode(packed(row, 4<<30), Limits{}.withDefaults().Ratio)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if n < freeUnpacked-readSize || n > freeUnpacked {
		t.Errorf("unpacked %d bytes", n)
	}
	const want = "unpacks to more than 200 times its size, as hardly a roster does: if it is one, unpack it and enqueue the unpacked file"
	if err != contentError(want) { //nolint:errorlint // returned as it is
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// TestBigPacked has the roster that was found to unpack to most: ids in sequence,
// and a long note that is the same in all rows. It is no bomb.
func TestBigPacked(t *testing.T) {
	note := strings.Repeat("the quick brown fox jumps over the lazy dog ", 23)
	var text strings.Builder
	for i := 0; text.Len() < 1<<20; i++ {
		fmt.Fprintf(&text, "delete,5b6e2c1a-7d5f-4b8e-9a61-000000000001,u-%07d,%s\n", i, note)
	}
	if size := len(gz(text.String())); text.Len() < 100*size {
		t.Errorf("%d bytes become %d, which is no test", text.Len(), size)
	}
	r, err := decode(packed(text.String(), 2*freeUnpacked), Limits{}.withDefaults().Ratio)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n < 2*freeUnpacked {
		t.Errorf("unpacked %d bytes, %v", n, err)
	}
}

func BenchmarkCheck(b *testing.B) {
	const n = 100_000
	in := big(b, n, "action,call_id,user_id,display_name,note", "invite,5b6e2c1a-7d5f-4b8e-9a61-000000000001,"+
		"0a1b2c3d-0000-4000-8000-%012x,Somebody at the town hall,\"one, of many\"\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Check(b.Context(), Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// FuzzGuard: what is skimmed leaves the guard as walking does.
func FuzzGuard(f *testing.F) {
	f.Add("a,b\n\"c\n,\"\"d\",e\r\nf", 3)
	f.Add("\n\n\"", 1)
	f.Add(",\",\n,", 2)
	f.Fuzz(func(t *testing.T, text string, n int) {
		walked, skimmed := newGuard(nil, ',', len(text)), newGuard(nil, ',', len(text))
		for part := range slices.Chunk([]byte(text), n&7+1) {
			walked.walk(part)
			skimmed.skim(part)
			if *walked != *skimmed {
				t.Fatalf("%+v, skimmed %+v", *walked, *skimmed)
			}
		}
	})
}
