using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Large bodies that upstreams send, each of which is held in memory: so many of one upstream are read at once.</summary>
public sealed class LargeBodyTests
{
    private const int Limit = 4 * 1024 * 1024;

    [Theory]
    [InlineData("complete")]
    [InlineData("broken")]
    [InlineData("cancelled")]
    [InlineData("too large")]
    public async Task So_many_are_read_at_once_and_each_that_ends_makes_room_for_the_next(string end)
    {
        using var places = new SemaphoreSlim(UpstreamBody.MostLarge);
        using var cancel = new CancellationTokenSource();
        List<HeldBody> bodies = [];
        List<Task<byte[]?>> reads = [];
        for (var i = 0; i < UpstreamBody.MostLarge + 1; i++)
        {
            bodies.Add(new HeldBody());
            reads.Add(ReadAsync(bodies[i], i == 0 ? cancel.Token : CancellationToken.None));
        }

        // All that could be read without waiting has been.
        bodies.Select(body => body.IsRead).ShouldBe([.. Enumerable.Repeat(true, UpstreamBody.MostLarge), false]);

        switch (end)
        {
            case "cancelled":
                await cancel.CancelAsync();
                break;
            case "broken":
                bodies[0].More.SetException(new IOException("broken"));
                break;
            default:
                bodies[0].More.SetResult(end == "complete" ? 0 : Limit);
                break;
        }

        await Until.TrueAsync(() => bodies[^1].IsRead, "the next one is read");
        bodies.Skip(1).ToList().ForEach(body => body.More.SetResult(0));
        (await Until.DoneAsync(Task.WhenAll(reads.Skip(1)))).ShouldAllBe(read => read!.Length == HeldBody.Length);
        var first = await Task.WhenAny(reads[0]);
        (first.IsCanceled ? "cancelled" : first.Result is null ? "refused" : "complete").ShouldBe(
            end is "broken" or "too large" ? "refused" : end);
        places.CurrentCount.ShouldBe(UpstreamBody.MostLarge);

        async Task<byte[]?> ReadAsync(Stream body, CancellationToken cancellationToken)
        {
            using var response = new HttpResponseMessage { Content = new StreamContent(body) };
            return await UpstreamBody.ReadBoundedAsync(response, Limit, places, cancellationToken);
        }
    }

    [Fact]
    public async Task An_upstream_whose_bodies_stall_takes_no_place_of_another_and_has_its_own_back_after_the_total_time()
    {
        var time = new ManualTimeProvider();
        await using var upstream = await FakeUpstream.StartAsync();
        upstream.AddManifest("a", new byte[200_000], MediaTypes.ImageManifest, "large");
        var areStalling = true;
        upstream.Faults = call => new UpstreamFault
        {
            Paces = sent => call.Path.StartsWith("/v2/a/", StringComparison.Ordinal) && areStalling && sent > 180_000
                ? Task.Delay(Timeout.Infinite)
                : Task.CompletedTask,
        };
        upstream.AddManifest("b", new byte[200_000], MediaTypes.ImageManifest, "large");
        using var stalling = upstream.Client(time: time);
        using var other = upstream.Client(time: time);
        var stalled = Enumerable.Range(0, 2 * UpstreamBody.MostLarge).Select(_ => ReadAsync(stalling, "a")).ToList();
        await Until.TrueAsync(() => stalling.LargeBodies == UpstreamBody.MostLarge, "all places are taken");

        (await Until.DoneAsync(ReadAsync(other, "b"))).ShouldBe(200_000);

        await Until.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(1));
                return stalled.TrueForAll(read => read.IsCompleted);
            },
            "the stalled ones are given up");
        (await Task.WhenAll(stalled)).ShouldAllBe(length => length == null);
        stalling.LargeBodies.ShouldBe(0);
        areStalling = false;
        (await Until.DoneAsync(ReadAsync(stalling, "a"))).ShouldBe(200_000);

        static async Task<int?> ReadAsync(UpstreamClient client, string repository)
        {
            var (answer, content) = await client.ReadAsync(
                HttpMethod.Get, repository, "manifests/large", null, Limit, client.Begin(), CancellationToken.None);
            answer.Dispose();
            return content?.Length;
        }
    }

    /// <summary>Has more than is read without a place, and the rest when the test says so.</summary>
    private sealed class HeldBody : MemoryStream
    {
        public new const int Length = 160 * 1024;

        private int _sent;

        public HeldBody()
            : base(new byte[Length])
        {
        }

        /// <summary>What comes behind <see cref="Length"/>.</summary>
        public TaskCompletionSource<int> More { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Whether all was read, and more is waited for.</summary>
        public bool IsRead { get; private set; }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_sent < Length)
            {
                var next = Math.Min(buffer.Length, Length - _sent);
                _sent += next;
                return new ValueTask<int>(next);
            }

            IsRead = true;
            return new ValueTask<int>(More.Task.WaitAsync(cancellationToken));
        }
    }
}
