using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;

namespace OciRegistry.Benchmarks.Support;

/// <summary>Pushes and pulls as docker does; throws when the registry answers anything but what it should.</summary>
/// <param name="address">Where it listens.</param>
/// <param name="authorization">What to send along; null for nothing.</param>
/// <param name="version">What to speak; null for HTTP/1.1.</param>
internal sealed class RegistryClient(
    Uri address, AuthenticationHeaderValue? authorization = null, Version? version = null) : IDisposable
{
    // As much as clients in Go let come before they have read it.
    private const int StreamWindow = 4 * 1024 * 1024;

    private readonly HttpClient _http = new(new ExactVersion(version ?? HttpVersion.Version11, new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        InitialHttp2StreamWindowSize = StreamWindow,
        SslOptions = new SslClientAuthenticationOptions
        {
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null, // ours, of this run
        },
    }))
    {
        BaseAddress = address,
        Timeout = TimeSpan.FromMinutes(10),
        DefaultRequestHeaders = { Authorization = authorization },
    };

    public async Task<byte[]> GetAsync(string path)
    {
        using var response = await _http.GetAsync(new Uri(path, UriKind.Relative));
        Expect(response, HttpStatusCode.OK);
        return await response.Content.ReadAsByteArrayAsync();
    }

    public async Task<Uri> StartUploadAsync(string repository)
    {
        using var response = await _http.PostAsync(new Uri($"/v2/{repository}/blobs/uploads/", UriKind.Relative), null);
        Expect(response, HttpStatusCode.Accepted);
        return response.Headers.Location!;
    }

    /// <summary>POST, one PATCH with the content, PUT; the digest is computed on the way.</summary>
    public async Task<Digest> PushByPatchAsync(string repository, Noise noise, bool isChunked = true)
    {
        var location = await StartUploadAsync(repository);
        var (next, digest) = await PatchAsync(location, noise, isChunked);
        await CompleteAsync(next, digest, body: null);
        return digest;
    }

    /// <summary>One PATCH with the content: where the next request goes, and the digest of what was sent.</summary>
    public async Task<(Uri Next, Digest Digest)> PatchAsync(Uri location, Noise noise, bool isChunked = true)
    {
        using var content = new NoiseContent(noise, isChunked);
        using var request = new HttpRequestMessage(HttpMethod.Patch, location) { Content = content };
        using var response = await _http.SendAsync(request);
        Expect(response, HttpStatusCode.Accepted);
        return (response.Headers.Location!, content.Digest());
    }

    /// <summary>POST, PUT with the content.</summary>
    public async Task<Digest> PushByPutAsync(string repository, Noise noise)
    {
        var digest = noise.Digest();
        using var content = new NoiseContent(noise, isChunked: false);
        await CompleteAsync(await StartUploadAsync(repository), digest, content);
        return digest;
    }

    public async Task PutManifestAsync(string repository, string reference, ReadOnlyMemory<byte> manifest)
    {
        using var content = new ReadOnlyMemoryContent(manifest);
        content.Headers.ContentType = new MediaTypeHeaderValue(ArtifactManifest.MediaType);
        using var response = await _http.PutAsync(new Uri($"/v2/{repository}/manifests/{reference}", UriKind.Relative), content);
        Expect(response, HttpStatusCode.Created);
    }

    /// <summary>Reads a blob to its end, and hashes it where the client's share of the machine's time does not matter.</summary>
    public async Task PullAsync(string repository, Digest digest, long length, bool verify)
    {
        var uri = new Uri($"/v2/{repository}/blobs/{digest}", UriKind.Relative);
        using var response = await _http.GetAsync(uri, HttpCompletionOption.ResponseHeadersRead);
        Expect(response, HttpStatusCode.OK);
        using var body = await response.Content.ReadAsStreamAsync();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        long total = 0;
        try
        {
            while (await body.ReadAsync(buffer) is > 0 and var read)
            {
                total += read;
                if (verify)
                {
                    hash.AppendData(buffer, 0, read);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        if (total != length || (verify && Digest.FromHash(DigestAlgorithm.Sha256, hash.GetHashAndReset()) != digest))
        {
            throw new InvalidOperationException($"{digest} was pulled with {total} bytes, and damaged.");
        }
    }

    /// <summary>Where the request goes that ends an upload.</summary>
    public static Uri Closing(Uri location, Digest digest)
    {
        var text = location.ToString();
        var separator = text.Contains('?', StringComparison.Ordinal) ? '&' : '?';
        return new Uri($"{text}{separator}digest={digest}", UriKind.RelativeOrAbsolute);
    }

    public void Dispose() => _http.Dispose();

    private async Task CompleteAsync(Uri location, Digest digest, HttpContent? body)
    {
        using var response = await _http.PutAsync(Closing(location, digest), body);
        Expect(response, HttpStatusCode.Created);
    }

    private static void Expect(HttpResponseMessage response, HttpStatusCode status)
    {
        if (response.StatusCode != status)
        {
            var request = response.RequestMessage!;
            throw new InvalidOperationException(
                $"{request.Method} {request.RequestUri} was answered {(int)response.StatusCode}, not {(int)status}.");
        }
    }

    // A request made by hand is HTTP/1.1 unless it says otherwise.
    private sealed class ExactVersion(Version version, HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            (request.Version, request.VersionPolicy) = (version, HttpVersionPolicy.RequestVersionExact);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
