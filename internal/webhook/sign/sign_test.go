package sign_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook"
	"github.com/sre-agent/sre-agent/internal/webhook/sign"
)

// The test vector that the libraries of https://github.com/standard-webhooks/standard-webhooks share.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime      = "1614265330"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func vector() *webhook.Request {
	h := http.Header{}
	h.Set(sign.HeaderID, vectorID)
	h.Set(sign.HeaderTimestamp, vectorTime)
	h.Set(sign.HeaderSignature, vectorSignature)
	return &webhook.Request{Header: h, Body: []byte(vectorBody), Received: time.Unix(1614265330, 0)}
}

func keys(texts ...string) [][]byte {
	var list [][]byte
	for _, s := range texts {
		list = append(list, []byte(s))
	}
	return list
}

func signed(key []byte, id, at, body string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestStandardAgreesWithThePublishedTestVector(t *testing.T) {
	if err := sign.Standard(vector(), keys(vectorSecret)); err != nil {
		t.Errorf("Standard = %v", err)
	}
}

func TestStandard(t *testing.T) {
	set := func(name, value string) func(*webhook.Request) {
		return func(r *webhook.Request) { r.Header.Set(name, value) }
	}
	zeros := "v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct {
		name string
		keys [][]byte
		edit func(*webhook.Request)
		want error
	}{
		{"the second of two keys passes", keys("whsec_b3RoZXI=", vectorSecret), nil, nil},
		{"the second of two signatures passes", keys(vectorSecret), set(sign.HeaderSignature, zeros+" "+vectorSignature), nil},
		{"a signature of another version is passed over", keys(vectorSecret), set(sign.HeaderSignature, "v1a,AAAA "+vectorSignature), nil},
		{"a key without the prefix is used as it is", keys("plain"), set(sign.HeaderSignature, signed([]byte("plain"), vectorID, vectorTime, vectorBody)), nil},
		{"five minutes late passes", keys(vectorSecret), func(r *webhook.Request) { r.Received = r.Received.Add(5 * time.Minute) }, nil},
		{"five minutes early passes", keys(vectorSecret), func(r *webhook.Request) { r.Received = r.Received.Add(-5 * time.Minute) }, nil},
		{"later is stale", keys(vectorSecret), func(r *webhook.Request) { r.Received = r.Received.Add(301 * time.Second) }, webhook.ErrStale},
		{"earlier is stale", keys(vectorSecret), func(r *webhook.Request) { r.Received = r.Received.Add(-301 * time.Second) }, webhook.ErrStale},
		{"a stale time with a bad signature is a bad signature", keys("other"), func(r *webhook.Request) { r.Received = time.Unix(0, 0) }, webhook.ErrBadSignature},
		{"another key fails", keys("whsec_b3RoZXI="), nil, webhook.ErrBadSignature},
		{"no key fails", nil, nil, webhook.ErrBadSignature},
		{"an empty key never matches", keys(""), set(sign.HeaderSignature, signed(nil, vectorID, vectorTime, vectorBody)), webhook.ErrBadSignature},
		{"an empty key behind the prefix never matches", keys("whsec_"), set(sign.HeaderSignature, signed(nil, vectorID, vectorTime, vectorBody)), webhook.ErrBadSignature},
		{"one flipped byte fails", keys(vectorSecret), func(r *webhook.Request) { r.Body[0] ^= 1 }, webhook.ErrBadSignature},
		{"another id fails", keys(vectorSecret), set(sign.HeaderID, vectorID+"x"), webhook.ErrBadSignature},
		{"another time fails", keys(vectorSecret), set(sign.HeaderTimestamp, "1614265331"), webhook.ErrBadSignature},
		{"the asymmetric version fails", keys(vectorSecret), set(sign.HeaderSignature, "v1a,"+vectorSignature[3:]), webhook.ErrBadSignature},
		{"no version fails", keys(vectorSecret), set(sign.HeaderSignature, vectorSignature[3:]), webhook.ErrBadSignature},
		{"a short digest fails", keys(vectorSecret), set(sign.HeaderSignature, "v1,g0hM9Q=="), webhook.ErrBadSignature},
		{"no base64 fails", keys(vectorSecret), set(sign.HeaderSignature, "v1,!!!"), webhook.ErrBadSignature},
		{"a ninth signature is not looked at", keys(vectorSecret), set(sign.HeaderSignature, strings.Repeat(zeros+" ", 8)+vectorSignature), webhook.ErrBadSignature},
		{"two signature headers fail", keys(vectorSecret), func(r *webhook.Request) { r.Header.Add(sign.HeaderSignature, vectorSignature) }, webhook.ErrBadSignature},
		{"two id headers fail", keys(vectorSecret), func(r *webhook.Request) { r.Header.Add(sign.HeaderID, vectorID) }, webhook.ErrBadSignature},
		{"two time headers fail", keys(vectorSecret), func(r *webhook.Request) { r.Header.Add(sign.HeaderTimestamp, vectorTime) }, webhook.ErrBadSignature},
		{"no signature is unsigned", keys(vectorSecret), func(r *webhook.Request) { r.Header.Del(sign.HeaderSignature) }, webhook.ErrUnsigned},
		{"no id is unsigned", keys(vectorSecret), func(r *webhook.Request) { r.Header.Del(sign.HeaderID) }, webhook.ErrUnsigned},
		{"no time is unsigned", keys(vectorSecret), func(r *webhook.Request) { r.Header.Del(sign.HeaderTimestamp) }, webhook.ErrUnsigned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := vector()
			if tt.edit != nil {
				tt.edit(r)
			}
			if err := sign.Standard(r, tt.keys); !errors.Is(err, tt.want) {
				t.Errorf("Standard = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestFreshRefusesWhatIsNoTime(t *testing.T) {
	now := time.Unix(1614265330, 0)
	for _, bad := range []string{"", "now", "-1", "1e9", "99999999999999999999", "1099511627777", "16142653.5", " 1614265330"} {
		if err := sign.Fresh(bad, now); !errors.Is(err, webhook.ErrBadSignature) {
			t.Errorf("Fresh(%q) = %v, want ErrBadSignature", bad, err)
		}
	}
}

func TestHMACWantsAllDigitsOfAnyKey(t *testing.T) {
	// RFC 4231, test case 2.
	const digits = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	body := []byte("what do ya want for nothing?")
	for _, tt := range []struct {
		name   string
		digits string
		keys   [][]byte
		parts  [][]byte
		want   bool
	}{
		{"the published value", digits, keys("Jefe"), [][]byte{body}, true},
		{"in upper case", strings.ToUpper(digits), keys("Jefe"), [][]byte{body}, true},
		{"of a body in two parts", digits, keys("Jefe"), [][]byte{body[:5], body[5:]}, true},
		{"the second key", digits, keys("x", "Jefe"), [][]byte{body}, true},
		{"another key", digits, keys("x"), [][]byte{body}, false},
		{"no key", digits, nil, [][]byte{body}, false},
		{"one digit less", digits[1:], keys("Jefe"), [][]byte{body}, false},
		{"one digit more", digits + "0", keys("Jefe"), [][]byte{body}, false},
		{"no digits", strings.Repeat("z", 64), keys("Jefe"), [][]byte{body}, false},
		{"another body", digits, keys("Jefe"), [][]byte{body[1:]}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sign.HMAC(tt.digits, tt.keys, tt.parts...); got != tt.want {
				t.Errorf("HMAC = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTokenMatchesOnlyAWholeKey(t *testing.T) {
	for _, tt := range []struct {
		name, got string
		keys      [][]byte
		want      bool
	}{
		{"the key", "s3cret", keys("s3cret"), true},
		{"the second key", "s3cret", keys("x", "s3cret"), true},
		{"a prefix", "s3cre", keys("s3cret"), false},
		{"more than the key", "s3crets", keys("s3cret"), false},
		{"another case", "S3CRET", keys("s3cret"), false},
		{"an empty token and an empty key", "", keys(""), false},
		{"no key", "s3cret", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sign.Token(tt.got, tt.keys); got != tt.want {
				t.Errorf("Token = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOneNeverQuotesTheValue(t *testing.T) {
	h := http.Header{"X-Token": {"s3cret", "s3cret"}}
	_, err := sign.One(h, "X-Token")
	if !errors.Is(err, webhook.ErrBadSignature) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "X-Token") {
		t.Errorf("One = %v", err)
	}
}
