using System.Diagnostics;
using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests;

/// <summary>R4.4: the server is killed (SIGKILL) while clients push, again and again, over one folder.</summary>
public sealed class KilledProcessTests(ITestOutputHelper output)
{
    private static readonly int[] Sizes = [0, 1, 5_000, 70_000, 1_000_000, 4_000_000];

    [Fact]
    public async Task Whatever_a_killed_server_leaves_is_whole_and_every_push_can_go_on()
    {
        var random = new Random(Seed.Next(output));
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        var (interrupted, finished) = (0, 0);
        var known = new HashSet<string>();
        var server = await ServerProcess.StartOnAsync(root);
        try
        {
            for (var round = 0; round < Counts.Of(ci: 20, full: 200); round++)
            {
                var http = server.Http;
                var pushers = Enumerable.Range(0, 3).Select(i => new Pusher(http, random.Next())).ToArray();
                var pushing = Task.WhenAll(pushers.Select(pusher => pusher.PushUntilTheServerIsGoneAsync()));
                var delay = TimeSpan.FromMicroseconds(random.Next(1_000, 150_000));
                await Task.Delay(delay);
                await server.KillAsync();
                await pushing;
                await server.DisposeAsync();

                server = await ServerProcess.StartOnAsync(root);
                AssertBlobsAreWhole(root, known, $"round {round}, killed after {delay.TotalMilliseconds:0.0} ms");
                foreach (var pusher in pushers)
                {
                    finished += await pusher.AssertWhatWasPushedIsThereAsync(server.Http);
                    interrupted += await pusher.GoOnAsync(server.Http) ? 1 : 0;
                }

                AssertBlobsAreWhole(root, known, $"round {round}, after going on");
            }

            AssertBlobsAreWhole(root, [], "at the end");
        }
        finally
        {
            await server.DisposeAsync();
        }

        output.WriteLine($"{finished} pushes were finished, {interrupted} interrupted in mid-upload.");
        interrupted.ShouldBeGreaterThan(0);
        finished.ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task A_process_that_is_stopped_within_a_write_fails_others_soon_and_does_not_hang_them()
    {
        // What a stopped process (SIGSTOP) keeps is its lock files.
        await using var folder = new TempFolder();
        var root = folder.Create("data");
        var server = await ServerProcess.StartOnAsync(root);
        try
        {
            var repository = RegistryClient.NewRepository();
            var digest = await server.Http.PushBlobAsync(repository, [1, 2, 3]);
            var locks = Enumerable.Range(0, 256).Select(i =>
                Posix.OpenReadWrite(Path.Combine(root, "locks", $"{i:x2}"), create: true)!).ToArray();
            locks.ShouldAllBe(file => Posix.TryLock(file));

            var waited = Stopwatch.StartNew();
            using (var refused = await server.Http.StartUploadAsync(repository))
            {
                refused.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
                refused.Header("Retry-After").ShouldNotBeNull();
            }

            output.WriteLine($"503 after {waited.Elapsed.TotalSeconds:0.0} s");
            (await server.Http.GetBlobAsync(repository, digest)).StatusCode.ShouldBe(HttpStatusCode.OK);
            Array.ForEach(locks, file => file.Dispose());
            await server.Http.PushBlobAsync(repository, [4, 5, 6]);
        }
        finally
        {
            await server.DisposeAsync();
        }
    }

    /// <summary>Hashes each blob that is not in <paramref name="known"/>, and adds it.</summary>
    private static void AssertBlobsAreWhole(string root, HashSet<string> known, string when)
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(root, "blobs"), "*", SearchOption.AllDirectories)
            .Where(known.Add))
        {
            Digest.Of(File.ReadAllBytes(file)).Hex.ShouldBe(Path.GetFileName(file), when);
        }
    }

    /// <summary>A client that pushes one blob after another, remembers what it was told, and can go on with the last.</summary>
    private sealed class Pusher(HttpClient http, int seed)
    {
        private readonly Random _random = new(seed);
        private readonly string _repository = RegistryClient.NewRepository();
        private readonly List<byte[]> _pushed = [];
        private byte[] _content = [];
        private string? _location;
        private int _acknowledged;

        public async Task PushUntilTheServerIsGoneAsync()
        {
            try
            {
                while (true)
                {
                    await PushAsync();
                }
            }
            catch (HttpRequestException)
            {
                // As planned.
            }
        }

        public async Task<int> AssertWhatWasPushedIsThereAsync(HttpClient next)
        {
            foreach (var content in _pushed)
            {
                using var pulled = await next.GetBlobAsync(_repository, Digest.Of(content));
                await pulled.ShouldBeContentAsync(Digest.Of(content), content);
            }

            return _pushed.Count;
        }

        /// <summary>Finishes the interrupted push; true when its session was still there.</summary>
        public async Task<bool> GoOnAsync(HttpClient next)
        {
            var digest = Digest.Of(_content);
            var isThere = false;
            if (_location is not null)
            {
                using var status = await next.GetAsync(new Uri(_location, UriKind.Relative));
                isThere = status.StatusCode == HttpStatusCode.NoContent;
                var offset = isThere ? RegistryClient.OffsetOf(status) : 0;
                if (isThere)
                {
                    offset.ShouldBeGreaterThanOrEqualTo(_acknowledged);
                }

                if (isThere && offset < _content.Length)
                {
                    using var rest = await next.PatchAsync(
                        _location, _content[offset..], $"{offset}-{_content.Length - 1}");
                    await rest.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
                }

                using var closed = await next.CompleteAsync(_location, digest.ToString());
                if (closed.StatusCode == HttpStatusCode.Created)
                {
                    return isThere;
                }

                isThere.ShouldBeFalse(await closed.Content.ReadAsStringAsync());
                closed.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            }

            await next.PushBlobAsync(_repository, _content);
            return false;
        }

        private async Task PushAsync()
        {
            (_content, _location, _acknowledged) = (new byte[Sizes[_random.Next(Sizes.Length)]], null, 0);
            _random.NextBytes(_content);
            _location = await http.NewUploadAsync(_repository);
            var chunks = _random.Next(0, 4);
            for (var chunk = 1; chunk <= chunks; chunk++)
            {
                var end = _content.Length * chunk / chunks;
                using var patched = await http.PatchAsync(_location, _content[_acknowledged..end], chunked: chunk % 2 == 0);
                await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
                (_location, _acknowledged) = (patched.Headers.Location!.ToString(), end);
            }

            using var closed = await http.CompleteAsync(
                _location, Digest.Of(_content).ToString(), chunks == 0 ? _content : null);
            await closed.ShouldHaveStatusAsync(HttpStatusCode.Created);
            _pushed.Add(_content);
        }
    }
}
