// Uploads a file with tus-js-client as its first argument says, in JSON, and prints what became of it, in JSON.
const { createHash } = require('node:crypto')
const { readFileSync } = require('node:fs')
const tus = require('tus-js-client')

const { endpoint, token, file, chunkSize, checksum, terminateAfter } = JSON.parse(process.argv[2])
const content = readFileSync(file)
const told = { requests: [], url: '', contentLocation: '', uploadExpires: '', error: '', status: 0 }

const upload = new tus.Upload(content, {
  endpoint,
  chunkSize: chunkSize || Infinity,
  retryDelays: Array.from({ length: 100 }, () => 100),
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: '我的照片.jpg', filetype: 'image/jpeg', visibility: 'private', title: '海边' },
  onBeforeRequest(request) {
    if (checksum && request.getMethod() === 'PATCH') {
      const sum = createHash('sha1').update(checksum === 'right' ? content : 'other bytes').digest('base64')
      request.setHeader('Upload-Checksum', `sha1 ${sum}`)
    }
  },
  onAfterResponse(request, response) {
    told.requests.push(`${request.getMethod()} ${response.getStatus()}`)
    told.contentLocation = response.getHeader('Content-Location') || told.contentLocation
    told.uploadExpires = response.getHeader('Upload-Expires') || told.uploadExpires
  },
  onChunkComplete(size, sent) {
    if (terminateAfter && sent >= terminateAfter) {
      upload.abort(true).then(() => end())
    }
  },
  onSuccess: () => end(),
  onError: (error) => end(error),
})

function end(error) {
  told.url = upload.url || ''
  if (error) {
    told.error = error.message
    told.status = error.originalResponse ? error.originalResponse.getStatus() : 0
  }
  console.log(JSON.stringify(told))
}

upload.start()
