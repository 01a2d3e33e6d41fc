package storage

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// Location says where a shelf is.
type Location struct {
	Dir string     // of a Disk; empty for an S3
	S3  *S3Options // without the key; nil for a Disk
}

// amazon is the endpoint that is used if a location names none. The client finds that of the region.
const amazon = "https://s3.amazonaws.com"

// ParseLocation reads file:///path, file://relative or
// s3://bucket[/prefix][?endpoint=https://host:port&region=name]. Its errors never contain the text,
// which may have a key in the wrong place.
func ParseLocation(text string) (Location, error) {
	if dir, ok := strings.CutPrefix(text, "file://"); ok {
		if dir == "" {
			return Location{}, errors.New("file:// must be followed by a folder")
		}
		return Location{Dir: dir}, nil
	}
	if !strings.HasPrefix(text, "s3://") {
		return Location{}, errors.New("must start with file:// or s3://")
	}
	o, err := parseS3(text)
	return Location{S3: o}, err
}

func parseS3(text string) (*S3Options, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("must look like s3://bucket/prefix?endpoint=https://host&region=name")
	}
	if u.User != nil {
		return nil, errors.New("must not contain the key of S3, which is an option of its own")
	}
	o := &S3Options{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if err := s3utils.CheckValidBucketNameStrict(o.Bucket); err != nil {
		return nil, fmt.Errorf("needs the name of a bucket: %w", err)
	}
	if strings.Contains("/"+o.Prefix+"/", "/./") || strings.Contains("/"+o.Prefix+"/", "/../") || strings.Contains(o.Prefix, "//") {
		return nil, errors.New("the prefix of S3 must not have parts that are empty, . or .. alone")
	}
	return o, parseParameters(u, o)
}

func parseParameters(u *url.URL, o *S3Options) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" {
		return errors.New("has parameters that can't be read")
	}
	endpoint := amazon
	for name := range values {
		switch name {
		case "endpoint":
			endpoint = values.Get(name)
		case "region":
			o.Region = values.Get(name)
		default:
			return errors.New("may have the parameters endpoint and region, and no others")
		}
	}
	return parseEndpoint(endpoint, o)
}

func parseEndpoint(endpoint string, o *S3Options) error {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return errors.New("the endpoint of S3 must look like https://host:port")
	}
	o.Endpoint, o.Secure = u.Host, u.Scheme == "https"
	return nil
}

// Open opens the shelf. A Disk needs no key.
func (l Location) Open(keyID, keySecret string) (Shelf, error) {
	if l.S3 == nil {
		return asShelf(OpenDisk(l.Dir))
	}
	o := *l.S3
	o.KeyID, o.KeySecret = keyID, keySecret
	return asShelf(OpenS3(o))
}

// asShelf keeps a nil pointer from becoming a shelf.
func asShelf[T Shelf](shelf T, err error) (Shelf, error) {
	if err != nil {
		return nil, err
	}
	return shelf, nil
}
