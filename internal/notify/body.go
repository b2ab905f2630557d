package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/status"
	"rollcall/internal/words"
)

// event is the only kind of notice there is.
const event = "batch.finished"

// notice is the JSON that is sent. It has counts, and nothing of any row.
type notice struct {
	Text   string    `json:"text"`
	Event  string    `json:"event"`
	ID     string    `json:"id"`
	SentAt time.Time `json:"sent_at"`
	status.Status
	Done    int64 `json:"done"`
	Skipped int64 `json:"skipped"`
	Failed  int64 `json:"failed"`
	Reasons []why `json:"reasons"`
}

// why is a reason why rows failed, without a word of Graph's.
type why struct {
	Outcome string `json:"outcome"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Rows    int64  `json:"rows"`
}

// mostReasons and saidReasons are how many are sent, and said in the text.
const mostReasons, saidReasons = 20, 3

// body is the JSON about a finished batch.
func body(st ledger.Status, reasons []ledger.Reason, id string, now time.Time) ([]byte, error) {
	all := []why{}
	for _, r := range reasons[:min(len(reasons), mostReasons)] {
		all = append(all, why{r.Outcome.String(), r.Status, r.Code, r.Rows})
	}
	out, err := json.Marshal(notice{
		Reasons: all, Text: text(st, all), Event: event, ID: id, SentAt: now.UTC().Truncate(time.Millisecond), Status: status.Of(st),
		Done: st.Count(ledger.GroupDone), Skipped: st.Count(ledger.GroupSkipped), Failed: st.Failed(),
	})
	if err != nil {
		return nil, fmt.Errorf("write a notice: %w", err)
	}
	return out, nil
}

// text says it in a sentence or two, for people in a chat.
func text(st ledger.Status, reasons []why) string {
	said := "finished"
	if st.State == ledger.Stopped {
		said = "was cancelled"
	}
	out := fmt.Sprintf("rollcall: batch %s %s after %s. %d rows: %d done, %d skipped, %d failed.", st.ID, said,
		words.Duration(st.FinishedAt.Sub(st.CreatedAt)), st.Rows, st.Count(ledger.GroupDone), st.Count(ledger.GroupSkipped), st.Failed())
	for i, r := range reasons[:min(len(reasons), saidReasons)] {
		before := ", "
		if i == 0 {
			before = " Failed: "
		}
		out += fmt.Sprintf("%s%d %s", before, r.Rows, r.Outcome)
		switch {
		case r.Code != "" && r.Status != 0:
			out += fmt.Sprintf(" (HTTP %d, %s)", r.Status, r.Code)
		case r.Code != "":
			out += " (" + r.Code + ")"
		case r.Status != 0:
			out += fmt.Sprintf(" (HTTP %d)", r.Status)
		}
	}
	return out
}

// deliveryID is the same for every try to tell a receiver of one finish of a batch,
// whoever tries.
func deliveryID(st ledger.Status, receiver string) string {
	sum := sha256.Sum256([]byte(st.ID + "\x00" + strconv.FormatInt(st.FinishedAt.UnixMilli(), 10) + "\x00" + receiver))
	return hex.EncodeToString(sum[:16])
}
