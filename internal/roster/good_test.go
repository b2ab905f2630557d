package roster

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

func TestGoodFiles(t *testing.T) {
	const (
		plain = "action,call_id,user_id\ndelete,c,u\ninvite,c,Zoë\n"
		guid  = "0A1B2C3D-0000-4000-8000-ABCDEFABCDEF"
	)
	want := []string{"1@2 delete /c user:u", "2@3 invite /c user:Zoë"}
	semicolon, tab := strings.ReplaceAll(plain, ",", ";"), strings.ReplaceAll(plain, ",", "\t")
	tests := []struct {
		name, text string
		o          Options
		want       []string
	}{
		{"plain", plain, Options{}, want},
		{"CRLF", strings.ReplaceAll(plain, "\n", "\r\n"), Options{}, want},
		{"no last line end", strings.TrimSuffix(plain, "\n"), Options{}, want},
		{"semicolons", semicolon, Options{}, want},
		{"tabs", tab, Options{}, want},
		{"byte order mark", "\xef\xbb\xbf" + plain, Options{}, want},
		{"utf-16 le", utf16(unicode.LittleEndian, tab), Options{}, want},
		{"utf-16 be", utf16(unicode.BigEndian, strings.ReplaceAll(semicolon, "\n", "\r\n")), Options{}, want},
		{"gzip", gz(plain), Options{}, want},
		{"gzip in two members", gz(plain[:30]) + gz(plain[30:]), Options{}, want},
		{"gzip of utf-16", gz(utf16(unicode.LittleEndian, plain)), Options{}, want},
		{"all quoted", "\"action\",\"call_id\",\"user_id\"\n\"delete\",\"c\",\"u\"\n\"invite\",\"c\",\"Zoë\"\n", Options{}, want},
		{"white space around", " action , call_id,user_id\t\n delete , c,u \ninvite,\u00a0c,Zoë\n", Options{}, want},
		{"names in other forms", "ACTION,Call ID,User-Id\ndelete,c,u\ninvite,c,Zoë\n", Options{}, want},
		{"aliases", "Operation,callId,Object ID\nREMOVE,c,u\nAdd,c,Zoë\n", Options{}, want},
		{"other order", "user_id,action,call_id\nu,delete,c\nZoë,invite,c\n", Options{}, want},
		{"delimiter in a quoted name", "\"a;b;c;d;e\",action,call_id,user_id\nx,delete,c,u\nx,invite,c,Zoë\n", Options{}, want},
		{"delimiter in names without quotes", "a;b;c;d;e;f,action,call_id,user_id\nx,delete,c,u\nx,invite,c,Zoë\n", Options{}, want},
		{"action by option", "call_id,user_id\nc,u\n", Options{Action: Delete}, want[:1]},
		{"call by option", "action,user_id\ndelete,u\n", Options{CallID: "c"}, want[:1]},
		{"one column", "user_id\nu\n", Options{Action: Delete, CallID: "c"}, want[:1]},
		{"own columns win", plain, Options{Action: Invite, CallID: "d"}, want},
		{"guard", "action,call_id,user_id\n'=x,'@c,'-u\n", Options{}, nil},
		{"dropped columns", "row,source,action,call_id,user_id,outcome,detail,status,code,request_id,attempts,Finished At,error\n" +
			"7,f:8,delete,c,u,failed,x,403,y,z,8,2026,\n8,f:9,invite,c,Zoë,,,,,,,,\n", Options{}, want},
		{"blank lines and rows", "\n,,\naction,call_id,user_id\n\n,,\ndelete,c,u\n", Options{}, []string{"1@6 delete /c user:u"}},
		{"line break in a quoted cell", "note,action,call_id,user_id\n\"one\ntwo\r\nthree\",delete,c,u\n,delete,c,v\n", Options{},
			[]string{"1@2 delete /c user:u", "2@5 delete /c user:v"}},
		{"guids", "action,tenant_id,call_id,participant_id,user_id\ndelete," + guid + "," + guid + "," + guid + "," + guid + "\n", Options{},
			[]string{"1@2 delete " + strings.ToLower(guid+"/"+guid+" participant:"+guid+"+user:"+guid)}},
		{"not quite a guid keeps its case", "action,call_id,user_id\ndelete," + guid[1:] + "," + guid + "0\n", Options{},
			[]string{"1@2 delete /" + guid[1:] + " user:" + guid + "0"}},
		{"every identity", "action,call_id,participant_id,user_id,phone number,application_id,guest_id\n" +
			"delete,c,p,,,,\ninvite,c,p,u,,,\ninvite,c,,,+14255550100,,\ndelete,c,,,,a,\ndelete,c,,,,,g\n", Options{}, []string{
			"1@2 delete /c participant:p", "2@3 invite /c participant:p+user:u", "3@4 invite /c phone:+14255550100",
			"4@5 delete /c application:a", "5@6 delete /c guest:g"}},
		{"tenant by option", "action,call_id,user_id,tenant_id\ndelete,c,u,\ndelete,c,u,t2\n", Options{TenantID: "t1"},
			[]string{"1@2 delete t1/c user:u", "2@3 delete t2/c user:u"}},
		{"tenant without column", plain, Options{TenantID: "t1"}, []string{"1@2 delete t1/c user:u", "2@3 invite t1/c user:Zoë"}},
		{"long line within the limit", "action,call_id,user_id,n\r\ndelete,c,u," + strings.Repeat("x", 117) + "\r\n",
			Options{Limits: Limits{Record: 128}}, want[:1]},
		{"many blank lines", plain[:23] + strings.Repeat("\n", 1000) + "delete,c,u\n", Options{Limits: Limits{Record: 128}},
			[]string{"1@1002 delete /c user:u"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := openText(t, tt.text)
			if tt.want == nil {
				// A guard is taken off; what is under it is checked.
				equal(t, problems(t, in, tt.o), []string{"r.csv:2:1: action: " + ErrAction.Error()})
				return
			}
			list, sum := rows(t, in, tt.o)
			equal(t, briefs(list), tt.want)
			if int(sum.Rows) != len(tt.want) || int(sum.Files[0].Rows) != len(tt.want) {
				t.Errorf("counted %d and %d rows, want %d", sum.Rows, sum.Files[0].Rows, len(tt.want))
			}
		})
	}
}

func TestAllCells(t *testing.T) {
	in := openText(t, "Call ID,Action,tenant_id,participant_id,phone,display_name,replaces_call_id,Team,source\n"+
		"c,invite,t,p,'+14255550100,'=Jane (+1),r,'-red,f:1\n")
	list, sum := rows(t, in, Options{})
	want := Change{Row: 1, Action: Invite, TenantID: "t", CallID: "c", ParticipantID: "p", Kind: Phone, ID: "+14255550100",
		DisplayName: "=Jane (+1)", ReplacesCallID: "r"}
	if list[0].change != want {
		t.Errorf("got %+v\nwant %+v", list[0].change, want)
	}
	if want := "c|invite|t|p|+14255550100|=Jane (+1)|r|-red"; list[0].cells != want {
		t.Errorf("cells %q, want %q", list[0].cells, want)
	}
	equal(t, sum.Files[0].Columns, []string{"Call ID", "Action", "tenant_id", "participant_id", "phone", "display_name", "replaces_call_id", "Team"})
	equal(t, sum.Notices, []string{
		"r.csv: not used, but kept for the report: Team",
		"r.csv: left out, as an earlier report or rejects file added them: source",
	})

	// Stored cells make the same change again.
	schema, err := NewSchema(sum.Files[0].Columns, Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, errs := schema.Change(strings.Split(list[0].cells, "|"))
	again.Row = 1
	if again != want || errs != nil {
		t.Errorf("from cells: %+v, %v", again, errs)
	}
	if _, errs := schema.Change([]string{"c"}); len(errs) != 1 || errs[0].Column != 2 {
		t.Errorf("one cell: %v", errs)
	}
}

func TestNotices(t *testing.T) {
	text := "action,call_id,tenant_id,user_id,a\x01,," + strings.Repeat("n", 50) + ",4,5,6,7,8,9,10,11,12\n" +
		"delete,c,,u" + strings.Repeat(",", 12) + "\n"
	_, sum := rows(t, openText(t, strings.ReplaceAll(text, "\x01", "\u200b")), Options{Action: Delete, CallID: "c", TenantID: "t"})
	equal(t, sum.Notices, []string{
		"r.csv: not used, but kept for the report: a?, field 6, " + strings.Repeat("n", 40) + "…, 4, 5, 6, 7, 8, 9, 10 and 2 more",
		"r.csv: has its own action column: --action is not used for it",
		"r.csv: has its own call_id column: --call-id is not used for it",
		"r.csv: has its own tenant_id column: --tenant-id is used for its blank cells only",
	})
}

func TestOptionErrors(t *testing.T) {
	in := openText(t, "user_id\nu\n")
	for want, o := range map[string]Options{
		"call_id: has white space inside: write one id, without spaces":         {CallID: "a b"},
		`tenant_id: has one of / \ ? # %: write the id alone, not an address`:   {TenantID: "a/b"},
		"action: not a known action: write invite (or add), delete (or remove)": {Action: 9},
	} {
		_, err := in.Check(t.Context(), o)
		if e, ok := err.(*OptionError); !ok || e.Error() != want { //nolint:errorlint // returned as it is
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSkipInvalid(t *testing.T) {
	in := openText(t, head+"delete,c,u1,,,\ndelete,c,,,,\ndelete,c\ndelete,c,u2,,,\n")
	o := Options{SkipInvalid: true, MaxErrors: 1}
	list, sum := rows(t, in, o)
	equal(t, briefs(list), []string{"1@2 delete /c user:u1", "2@5 delete /c user:u2"})
	if sum.Rows != 2 || sum.Rejected != 2 || sum.Files[0].Rejected != 2 || len(sum.Errors) != 1 || sum.More != 1 {
		t.Errorf("summary %+v", sum)
	}

	none := openText(t, head+"delete,c,,,,\n")
	if got := problems(t, none, o); len(got) != 1 {
		t.Errorf("no good row: %q", got)
	}
}

func TestParseAction(t *testing.T) {
	for word, want := range map[string]Action{"invite": Invite, "ADD": Invite, "Delete": Delete, "remove": Delete, "": 0, "kick": 0} {
		got, err := ParseAction(word)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseAction(%q) = %v, %v", word, got, err)
		}
	}
	if got := Action(7).String() + Kind(0).String(); got != "none" {
		t.Errorf("got %q", got)
	}
}
