package storage

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseLocation(t *testing.T) {
	tests := []struct {
		text string
		want Location
	}{
		{"file:///var/lib/pictures", Location{Dir: "/var/lib/pictures"}},
		{"file://pictures/here", Location{Dir: "pictures/here"}},
		{"s3://bucket?endpoint=http://127.0.0.1:9000&region=eu-1",
			Location{S3: &S3Options{Bucket: "bucket", Endpoint: "127.0.0.1:9000", Region: "eu-1"}}},
		{"s3://bucket/a/b/?endpoint=https%3A%2F%2Fs3.example.com%2F",
			Location{S3: &S3Options{Bucket: "bucket", Prefix: "a/b", Endpoint: "s3.example.com", Secure: true}}},
		{"s3://bucket", Location{S3: &S3Options{Bucket: "bucket", Endpoint: "s3.amazonaws.com", Secure: true}}},
	}
	for _, test := range tests {
		if got, err := ParseLocation(test.text); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s is %+v, %v; want %+v", test.text, got, err, test.want)
		}
	}
}

func TestParseWrongLocation(t *testing.T) {
	tests := []struct {
		text, want string
	}{
		{"", "file://"},
		{"/var/lib/pictures", "file://"},
		{"http://bucket", "s3://"},
		{"file://", "folder"},
		{"s3://", "bucket"},
		{"s3://Bucket_", "bucket"},
		{"s3://geheim:geheim@bucket", "option of its own"},
		{"s3://bucket?secret=geheim", "no others"},
		{"s3://bucket/../x", "prefix"},
		{"s3://bucket/a//b", "prefix"},
		{"s3://bucket?endpoint=127.0.0.1:9000", "endpoint"},
		{"s3://bucket?endpoint=https://geheim:geheim@host", "endpoint"},
		{"s3://bucket?endpoint=https://host/path", "endpoint"},
		{"s3://bucket?endpoint=ftp://host", "endpoint"},
		{"s3://bucket#geheim", "parameters"},
		{"s3://bucket?%zz", "parameters"},
		{"s3://%zz", "s3://bucket/prefix"},
	}
	for _, test := range tests {
		_, err := ParseLocation(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want one about %q", test.text, err, test.want)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: the error %q tells the secret", test.text, err)
		}
	}
}

func TestOpenLocation(t *testing.T) {
	disk, err := Location{Dir: t.TempDir()}.Open("", "")
	if _, ok := disk.(*Disk); !ok || err != nil {
		t.Errorf("got %T, %v; want a disk", disk, err)
	}
	location := Location{S3: &S3Options{Bucket: "bucket", Endpoint: "127.0.0.1:1"}}
	s3, err := location.Open("id", "secret")
	if _, ok := s3.(*S3); !ok || err != nil {
		t.Errorf("got %T, %v; want S3", s3, err)
	}
	if location.S3.KeySecret != "" {
		t.Error("the location got the key")
	}
	location.S3.Endpoint = "not a host"
	if s3, err := location.Open("id", "secret"); s3 != nil || err == nil {
		t.Errorf("got %v, %v; want an error only", s3, err)
	}
}
