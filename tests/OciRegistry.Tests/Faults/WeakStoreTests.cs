using System.Text;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Faults;

/// <summary>The weak storage itself, over the stores of the file system: a weakness that never shows tests nothing.</summary>
public sealed class WeakStoreTests
{
    [Fact]
    public async Task New_content_is_late_for_all_replicas_by_one_clock_and_documents_never_are()
    {
        using var storage = new FileSystemStorage();
        var time = new ManualTimeProvider();
        var weak = new WeakStorage(seed: 1, Weaknesses.Late, secondsPerSecond: 1, time);
        FaultPlan[] replicas = [new() { Weak = weak }, new() { Weak = weak }];
        var uploads = new FaultyUploadStore(storage.Uploads(), replicas[0]);
        IBlobStore[] blobs = [.. replicas.Select(plan => new FaultyBlobStore(storage.Blobs(), plan))];
        IDocumentStore[] documents = [.. replicas.Select(plan => new FaultyDocumentStore(storage.Documents(), plan))];

        byte[][] contents = [.. Enumerable.Range(0, 20).Select(_ => RegistryClient.RandomBytes(100))];
        foreach (var content in contents)
        {
            var key = new StagedKey(UploadSessionId.New(), 0);
            await using (var staged = await uploads.OpenAsync(key, 0, default))
            {
                await staged!.AppendAsync(content, default);
            }

            (await uploads.PublishAsync(key, Digest.Of(content), 100, default)).ShouldBe(PublishResult.Published);
            var document = new DocumentKey("folder", key.Session.ToString());
            var version = await documents[0].WriteAsync(document, content, WriteCondition.Absent, Durability.Atomic, default);
            (await documents[1].ReadAsync(document, default))!.Version.ShouldBe(version);
        }

        var found = new List<int>();
        var listed = new List<int>();
        for (var elapsed = TimeSpan.Zero; elapsed <= TimeSpan.FromSeconds(5); elapsed += TimeSpan.FromSeconds(0.25))
        {
            var finds = new List<string>();
            var lists = new List<string>();
            foreach (var store in blobs)
            {
                var seen = new StringBuilder();
                foreach (var digest in contents.Select(content => Digest.Of(content)))
                {
                    var isFound = await store.StatAsync(digest, default) == 100;
                    await using var open = await store.OpenReadAsync(digest, 0, long.MaxValue, default);
                    (open is not null).ShouldBe(isFound);
                    seen.Append(isFound ? '1' : '0');
                }

                finds.Add(seen.ToString());
                lists.Add(string.Join(' ', await store.ListAsync(default).OrderBy(digest => digest.Hex).ToListAsync()));
            }

            finds[1].ShouldBe(finds[0]);
            lists[1].ShouldBe(lists[0]);
            found.Add(finds[0].Count(seen => seen == '1'));
            listed.Add(lists[0].Split(' ', StringSplitOptions.RemoveEmptyEntries).Length);
            time.Advance(TimeSpan.FromSeconds(0.25));
        }

        found[0].ShouldBe(0);
        found[4].ShouldBeInRange(1, 19, "after one of two seconds");
        found[8].ShouldBe(20);
        listed[0].ShouldBe(0);
        listed[10].ShouldBeInRange(1, 19, "after two and a half of five seconds");
        listed[^1].ShouldBe(20);
    }

    [Fact]
    public async Task The_same_seed_meets_the_same_calls_however_they_interleave()
    {
        var kinds = new[] { StoreCall.DocumentRead, StoreCall.DocumentWrite, StoreCall.BlobStat };
        var oneByOne = await FailuresAsync(new WeakStorage(7, Weaknesses.Failing), kinds.SelectMany(k => Enumerable.Repeat(k, 200)));
        var mixed = await FailuresAsync(new WeakStorage(7, Weaknesses.Failing), Enumerable.Range(0, 600).Select(i => kinds[i % 3]));
        var other = await FailuresAsync(new WeakStorage(8, Weaknesses.Failing), Enumerable.Range(0, 600).Select(i => kinds[i % 3]));

        mixed.ShouldBe(oneByOne);
        other.ShouldNotBe(oneByOne);
        oneByOne.Count(failure => failure.Happened).ShouldBeInRange(1, oneByOne.Count - 1, "before and after the effect");
    }

    [Fact]
    public async Task A_torn_append_leaves_a_part_and_fails()
    {
        using var storage = new FileSystemStorage();
        var plan = new FaultPlan { Weak = new WeakStorage(seed: 1, Weaknesses.Tearing) };
        var uploads = new FaultyUploadStore(storage.Uploads(), plan);
        var lengths = new HashSet<long>();
        for (var i = 0; i < 500; i++)
        {
            await using var staged = await uploads.OpenAsync(new StagedKey(UploadSessionId.New(), 0), 0, default);
            try
            {
                await staged!.AppendAsync(new byte[100], default);
                staged.Length.ShouldBe(100);
            }
            catch (StorageException)
            {
                lengths.Add(staged!.Length);
            }
        }

        lengths.Count.ShouldBeGreaterThan(5);
        lengths.ShouldAllBe(length => length <= 100);
    }

    /// <summary>Which calls of each kind fail, and whether they happened nevertheless.</summary>
    private static async Task<List<(StoreCall Call, int Number, bool Happened)>> FailuresAsync(
        WeakStorage weak, IEnumerable<StoreCall> calls)
    {
        var plan = new FaultPlan { Weak = weak };
        var numbers = new Dictionary<StoreCall, int>();
        var failures = new List<(StoreCall, int, bool)>();
        foreach (var call in calls)
        {
            var number = numbers[call] = numbers.GetValueOrDefault(call) + 1;
            var happened = false;
            try
            {
                await plan.RunAsync(call, "", () =>
                {
                    happened = true;
                    return ValueTask.CompletedTask;
                });
            }
            catch (StorageException)
            {
                failures.Add((call, number, happened));
            }
        }

        return [.. failures.Order()];
    }
}
