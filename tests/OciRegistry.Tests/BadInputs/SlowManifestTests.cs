using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.BadInputs;

/// <summary>Group 27: clients that read a large manifest slowly hold neither it nor a place that others need.</summary>
public sealed class SlowManifestTests
{
    /// <summary>More than any budget for answers would let through.</summary>
    private const int Readers = 30;

    /// <summary>More than the sockets' own buffers take.</summary>
    private const int Length = 4_000_000;

    private readonly string _repository = RegistryClient.NewRepository();

    [Theory]
    [InlineData(WireProtocol.Http11)]
    [InlineData(WireProtocol.Http11OverTls)]
    [InlineData(WireProtocol.H2c)]
    public async Task Slow_readers_hold_no_manifest_in_memory_and_hold_up_no_other_pull(WireProtocol protocol)
    {
        WatchedDocuments documents = null!;
        await using var registry = await RegistryApp.StartAsync(
            options => options.Manifests.References = ManifestReferences.Off,
            services => WatchDocuments(services, watched => documents = watched),
            host: builder => protocol.Listen(builder));
        using var http = protocol.Client(registry.Url);
        var manifest = await PushAsync(http);
        using var slow = SlowClient(protocol, registry.Url);
        var readers = new List<Stream>();
        for (var i = 0; i < Readers; i++)
        {
            readers.Add(await BeginAsync(slow, $"/v2/{_repository}/manifests/v1"));
        }

        using (var other = await http.GetManifestAsync(_repository, "v1"))
        {
            await other.ShouldHaveStatusAsync(HttpStatusCode.OK);
            ShouldBeSame(await other.Content.ReadAsByteArrayAsync(), manifest);
        }

        await Until.TrueAsync(() => documents.LargeInMemory() == 0, "no manifest is in memory");
        ShouldBeSame(await EndAsync(readers[^1]), manifest);
        readers.ForEach(reader => reader.Dispose());
    }

    [Theory]
    [InlineData(WireProtocol.Http11)]
    [InlineData(WireProtocol.H2c)]
    public async Task A_manifest_that_is_pushed_again_meanwhile_is_read_to_its_end(WireProtocol protocol)
    {
        await using var slow = await SlowReader.StartAsync(protocol, this);

        using var again = await slow.Http.PutManifestAsync(_repository, "v2", slow.Manifest);
        await again.ShouldHaveStatusAsync(HttpStatusCode.Created);

        ShouldBeSame(await EndAsync(slow.Stream), slow.Manifest);
    }

    [Theory]
    [InlineData(WireProtocol.Http11)]
    [InlineData(WireProtocol.H2c)]
    public async Task A_manifest_that_is_deleted_meanwhile_ends_the_answer_early(WireProtocol protocol)
    {
        await using var slow = await SlowReader.StartAsync(protocol, this);

        using var deleted = await slow.Http.DeleteAsync($"/v2/{_repository}/manifests/{Digest.Of(slow.Manifest)}");
        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);

        await ShouldEndEarlyAsync(slow);
    }

    [Theory]
    [InlineData(WireProtocol.Http11, false)]
    [InlineData(WireProtocol.H2c, false)]
    [InlineData(WireProtocol.Http11, true)]
    [InlineData(WireProtocol.H2c, true)]
    public async Task A_manifest_that_is_damaged_meanwhile_ends_the_answer_early(WireProtocol protocol, bool isShorter)
    {
        await using var slow = await SlowReader.StartAsync(protocol, this);

        await using (var file = File.Open(slow.File(_repository), FileMode.Open, FileAccess.ReadWrite))
        {
            if (isShorter)
            {
                file.SetLength(file.Length - 1);
            }
            else
            {
                file.Seek(-1, SeekOrigin.End);
                file.WriteByte((byte)' ');
            }
        }

        await ShouldEndEarlyAsync(slow);
        await Until.TrueAsync(
            () => slow.Log.Lines.Any(line => line.Contains("was deleted or has changed while it was sent", StringComparison.Ordinal)), "it is logged");
    }

    [Fact]
    public async Task Slow_readers_of_cached_manifests_hold_up_no_other_pull()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var manifest = Manifest();
        registry.Upstream.AddManifest("a", manifest, MediaTypes.ImageManifest, "v1");
        using var slow = SlowClient(WireProtocol.Http11, registry.App.Url);
        var readers = new List<Stream>();
        for (var i = 0; i < Readers; i++)
        {
            readers.Add(await BeginAsync(slow, "/v2/up/a/manifests/v1"));
        }

        using (var other = await registry.Http.GetManifestAsync("up/a", "v1"))
        {
            await other.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        ShouldBeSame(await EndAsync(readers[0]), manifest); // the one that the upstream has sent
        ShouldBeSame(await EndAsync(readers[^1]), manifest);
        readers.ForEach(reader => reader.Dispose());
    }

    private static byte[] Manifest() => Encoding.UTF8.GetBytes($$"""
        {"schemaVersion":2,"mediaType":"{{MediaTypes.ImageManifest}}",
         "config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"{{Digest.Of("{}"u8)}}"},"layers":[],
         "annotations":{"padding":"{{Convert.ToBase64String(RegistryClient.RandomBytes(Length / 4 * 3))}}"} }
        """);

    private async Task<byte[]> PushAsync(HttpClient http)
    {
        var manifest = Manifest();
        using var pushed = await http.PutManifestAsync(_repository, "v1", manifest);
        await pushed.ShouldHaveStatusAsync(HttpStatusCode.Created);
        return manifest;
    }

    /// <summary>Has the server's socket, or its stream, take little of an answer that is not read.</summary>
    private static HttpClient SlowClient(WireProtocol protocol, Uri url) => protocol.Client(url, static async (context, cancel) =>
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveBufferSize = 4096 };
        await socket.ConnectAsync(context.DnsEndPoint, cancel);
        return new NetworkStream(socket, ownsSocket: true);
    });

    private static async Task<Stream> BeginAsync(HttpClient http, string path)
    {
        var answer = await http.GetAsync(new Uri(path, UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
        return await answer.Content.ReadAsStreamAsync();
    }

    private static async Task<byte[]> EndAsync(Stream answer)
    {
        var all = new MemoryStream();
        await Until.DoneAsync(answer.CopyToAsync(all));
        return all.ToArray();
    }

    /// <summary>Millions of bytes are compared, and not shown.</summary>
    private static void ShouldBeSame(byte[] actual, byte[] expected) => actual.AsSpan().SequenceEqual(expected).ShouldBeTrue();

    private static async Task ShouldEndEarlyAsync(SlowReader slow)
    {
        var read = new MemoryStream();
        await Should.ThrowAsync<IOException>(() => Until.DoneAsync(slow.Stream.CopyToAsync(read)));
        read.Length.ShouldBeLessThan(slow.Manifest.Length);
        ShouldBeSame(read.ToArray(), slow.Manifest[..(int)read.Length]);
    }

    private static void WatchDocuments(IServiceCollection services, Action<WatchedDocuments> created)
    {
        var inner = services.Last(service => service.ServiceType == typeof(IDocumentStore) && !service.IsKeyedService).ImplementationFactory!;
        services.Replace(ServiceDescriptor.Singleton<IDocumentStore>(provider =>
        {
            var watched = new WatchedDocuments((IDocumentStore)inner(provider));
            created(watched);
            return watched;
        }));
    }

    /// <summary>A large manifest whose reader has taken its head, and whose memory has been released.</summary>
    private sealed class SlowReader : IAsyncDisposable
    {
        private readonly RegistryApp _registry;
        private readonly HttpClient _slow;

        private SlowReader(RegistryApp registry, HttpClient http, HttpClient slow, byte[] manifest, Stream stream) =>
            (_registry, Http, _slow, Manifest, Stream) = (registry, http, slow, manifest, stream);

        public HttpClient Http { get; }

        public byte[] Manifest { get; }

        public Stream Stream { get; }

        public LogCapture Log => _registry.Log;

        public static async Task<SlowReader> StartAsync(WireProtocol protocol, SlowManifestTests test)
        {
            WatchedDocuments documents = null!;
            var registry = await RegistryApp.StartAsync(
                options =>
                {
                    options.Manifests.References = ManifestReferences.Off;
                    options.Deletes.Enabled = true;
                },
                services => WatchDocuments(services, watched => documents = watched),
                host: builder => protocol.Listen(builder));
            var http = protocol.Client(registry.Url);
            var manifest = await test.PushAsync(http);
            var slow = SlowClient(protocol, registry.Url);
            var stream = await BeginAsync(slow, $"/v2/{test._repository}/manifests/v1");
            await Until.TrueAsync(() => documents.LargeInMemory() == 0, "the rest is read from the storage");
            return new SlowReader(registry, http, slow, manifest, stream);
        }

        public string File(string repository) => _registry.Services.GetRequiredService<FileSystemRoot>()
            .Document(RegistryLayout.Manifest(RepositoryName.Parse(repository), Digest.Of(Manifest)));

        public async ValueTask DisposeAsync()
        {
            await Stream.DisposeAsync();
            _slow.Dispose();
            Http.Dispose();
            await _registry.DisposeAsync();
        }
    }

    /// <summary>Tells of how many documents that were read as a whole the bytes are still in memory.</summary>
    private sealed class WatchedDocuments(IDocumentStore inner) : IDocumentStore
    {
        private readonly List<WeakReference<byte[]>> _large = [];

        public int LargeInMemory()
        {
            GC.Collect();
            lock (_large)
            {
                return _large.Count(one => one.TryGetTarget(out _));
            }
        }

        public async ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken)
        {
            var read = await inner.ReadAsync(key, cancellationToken);
            if (read?.Content.Length >= Length && MemoryMarshal.TryGetArray(read.Content, out var bytes))
            {
                lock (_large)
                {
                    _large.Add(new WeakReference<byte[]>(bytes.Array!));
                }
            }

            return read;
        }

        public ValueTask<int> ReadPartAsync(DocumentKey key, long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
            inner.ReadPartAsync(key, offset, buffer, cancellationToken);

        public ValueTask<string?> WriteAsync(
            DocumentKey key,
            ReadOnlyMemory<byte> content,
            WriteCondition condition,
            Durability durability,
            CancellationToken cancellationToken) =>
            inner.WriteAsync(key, content, condition, durability, cancellationToken);

        public ValueTask<bool> DeleteAsync(
            DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken) =>
            inner.DeleteAsync(key, condition, durability, cancellationToken);

        public ValueTask<IReadOnlyList<string>> ListAsync(string folder, string? after, int limit, CancellationToken cancellationToken) =>
            inner.ListAsync(folder, after, limit, cancellationToken);

        public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken) => inner.AnyAsync(folder, cancellationToken);
    }
}
