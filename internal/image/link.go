package image

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// Link lets whoever has it see a picture until it expires.
type Link struct {
	Name      string // of the picture
	Expires   time.Time
	Signature string // base64url, 43 letters
}

// Link returns a link to a picture of an owner. The refusal is ImageNotFound.
func (s *Service) Link(ctx context.Context, ownerID, id string, lifetime time.Duration) (Link, error) {
	image, err := s.Get(ctx, ownerID, id)
	if err != nil {
		return Link{}, err
	}
	return s.linkTo(image, lifetime), nil
}

func (s *Service) linkTo(image Image, lifetime time.Duration) Link {
	expires := s.Now().Add(lifetime).Truncate(time.Second).UTC()
	return Link{image.Name, expires, s.signLink(image.Name, expires.Unix())}
}

func (s *Service) signLink(name string, expires int64) string {
	mac := hmac.New(sha256.New, s.LinkKey)
	mac.Write([]byte(name + "?" + strconv.FormatInt(expires, 10)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Service) linkLetsIn(name string, by Reader) bool {
	return by.Signature != "" && s.Now().Unix() < by.Expires &&
		hmac.Equal([]byte(by.Signature), []byte(s.signLink(name, by.Expires)))
}
