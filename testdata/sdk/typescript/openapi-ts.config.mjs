// How an app would have its client generated: modules that node runs, and names for the error codes.
export default {
  output: { path: 'client', module: { extension: '.js' } },
  plugins: ['@hey-api/client-fetch', { name: '@hey-api/typescript', enums: 'javascript' }, '@hey-api/sdk'],
};
