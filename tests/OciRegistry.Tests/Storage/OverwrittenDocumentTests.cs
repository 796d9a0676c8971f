using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>Documents that need not be synced: overwritten in their files, which go on to hold others.</summary>
public sealed class OverwrittenDocumentTests : IDisposable
{
    private const int Slot = 8 * 1024;
    private static readonly DocumentKey Key = new("folder", "name");
    private readonly FileSystemStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    [Fact]
    public async Task Writing_and_deleting_again_and_again_makes_no_new_files()
    {
        var store = _storage.Documents();
        var inodes = new HashSet<ulong>();
        for (var i = 0; i < 50; i++)
        {
            var key = new DocumentKey("folder", $"name-{i}");
            for (var write = 0; write < 4; write++)
            {
                await WriteAsync(store, key, $"{i} {write}");
                inodes.Add(Posix.Stat(_storage.Root.Document(key))!.Value.Identity.Inode);
                (await TextAsync(store, key)).ShouldBe($"{i} {write}");
            }

            (await store.DeleteAsync(key, WriteCondition.None, Durability.Atomic, default)).ShouldBeTrue();
            (await store.ReadAsync(key, default)).ShouldBeNull();
        }

        inodes.Count.ShouldBe(1);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(20)]
    [InlineData(60)]
    public async Task A_write_that_was_cut_short_leaves_the_one_before_it(int position)
    {
        var store = _storage.Documents();
        await WriteAsync(store, Key, "the first");
        await WriteAsync(store, Key, "the second");
        var versions = new List<string> { (await store.ReadAsync(Key, default))!.Version };
        Damage(Slot + position); // the second is in the second slot

        var left = (await store.ReadAsync(Key, default))!;
        Text(left).ShouldBe("the first");
        (await store.WriteAsync(Key, "x"u8.ToArray(), WriteCondition.Unchanged(versions[0]), Durability.Atomic, default))
            .ShouldBeNull();
        (await store.WriteAsync(Key, "the third"u8.ToArray(), WriteCondition.Unchanged(left.Version), Durability.Atomic, default))
            .ShouldNotBeNull();
        (await TextAsync(store, Key)).ShouldBe("the third");
    }

    [Fact]
    public async Task Where_both_writes_were_lost_there_is_no_document_and_it_can_be_made_anew()
    {
        var store = _storage.Documents();
        await WriteAsync(store, Key, "the first");
        await WriteAsync(store, Key, "the second");
        Damage(30);
        Damage(Slot + 30);

        (await store.ReadAsync(Key, default)).ShouldBeNull();
        (await store.WriteAsync(Key, "anew"u8.ToArray(), WriteCondition.Absent, Durability.Atomic, default)).ShouldNotBeNull();
        (await TextAsync(store, Key)).ShouldBe("anew");
    }

    [Fact]
    public async Task A_file_that_was_given_to_another_document_is_not_taken_for_the_former()
    {
        var store = _storage.Documents();
        await WriteAsync(store, Key, "mine");
        await WriteAsync(store, Key, "mine again");
        using var open = Posix.OpenRead(_storage.Root.Document(Key))!;
        await store.DeleteAsync(Key, WriteCondition.None, Durability.Atomic, default);
        var other = new DocumentKey("folder", "other");
        await WriteAsync(store, other, "another's");
        Posix.Stat(_storage.Root.Document(other))!.Value.Identity.ShouldBe(Posix.Stat(open).Identity);

        // One slot still holds what the former document was: read as the other, only the new one counts.
        (await TextAsync(store, other)).ShouldBe("another's");
        File.Copy(_storage.Root.Document(other), _storage.Root.Document(new DocumentKey("folder", "third")));
        (await store.ReadAsync(new DocumentKey("folder", "third"), default)).ShouldBeNull();
    }

    [Fact]
    public async Task A_document_that_was_deleted_and_made_again_is_not_what_it_was()
    {
        var store = _storage.Documents();
        for (var writes = 1; writes < 5; writes++)
        {
            for (var i = 0; i < writes; i++)
            {
                await WriteAsync(store, Key, $"old {i}");
            }

            await store.DeleteAsync(Key, WriteCondition.None, Durability.Atomic, default);
            await WriteAsync(store, Key, "new");
            (await TextAsync(store, Key)).ShouldBe("new");
            await store.DeleteAsync(Key, WriteCondition.None, Durability.Atomic, default);
        }
    }

    [Fact]
    public async Task Documents_of_any_size_and_durability_follow_each_other_under_one_key()
    {
        var store = _storage.Documents();
        foreach (var length in (int[])[10, Slot * 3, 0, 8_000, Slot, 100, Slot * 2])
        {
            foreach (var durability in Enum.GetValues<Durability>())
            {
                var content = RegistryClient.RandomBytes(length);
                var before = (await store.ReadAsync(Key, default))?.Version;
                var condition = before is null ? WriteCondition.Absent : WriteCondition.Unchanged(before);
                var version = await store.WriteAsync(Key, content, condition, durability, default);
                var read = await store.ReadAsync(Key, default);
                read!.Version.ShouldBe(version);
                read.Content.ToArray().ShouldBe(content);
            }
        }
    }

    [Fact]
    public async Task Who_reads_while_files_change_documents_sees_the_document_or_none()
    {
        var (store, other) = (_storage.Documents(), _storage.Documents());
        using var stop = new CancellationTokenSource();
        var reader = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                for (var i = 0; i < 4; i++)
                {
                    if (await other.ReadAsync(new DocumentKey("folder", $"name-{i}"), default) is { } document)
                    {
                        Text(document).ShouldStartWith($"content of {i}, ");
                    }
                }
            }
        });
        for (var round = 0; round < Counts.Of(ci: 1_000, full: 30_000); round++)
        {
            var key = new DocumentKey("folder", $"name-{round % 4}");
            await WriteAsync(store, key, $"content of {round % 4}, {round}");
            await WriteAsync(store, key, $"content of {round % 4}, {round} again, and longer");
            await store.DeleteAsync(key, WriteCondition.None, Durability.Atomic, default);
        }

        await stop.CancelAsync();
        await reader;
    }

    [Fact]
    public async Task Who_finds_the_bytes_of_another_document_looks_again_when_nobody_can_be_writing()
    {
        var time = new ManualTimeProvider();
        using var storage = new FileSystemStorage(time);
        var store = storage.Documents();
        var path = storage.Root.Document(Key);
        await WriteAsync(store, Key, "right");
        var right = await File.ReadAllBytesAsync(path);
        var other = new DocumentKey("folder", "other");
        await WriteAsync(store, other, "another's");
        File.Copy(storage.Root.Document(other), path, overwrite: true);

        var locks = Directory.EnumerateFiles(storage.Root.Locks)
            .Select(name => Posix.OpenReadWrite(name, create: false)!).ToList();
        locks.ShouldAllBe(file => Posix.TryLock(file));
        var read = store.ReadAsync(Key, default).AsTask();
        await Until.TrueAsync(() => time.Waiting > 0 || read.IsCompleted, "the read waits for the lock file");
        await File.WriteAllBytesAsync(path, right);
        locks.ForEach(file => file.Dispose());
        await Until.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromMilliseconds(2));
                return read.IsCompleted;
            },
            "the read goes on");
        Text((await read)!).ShouldBe("right");
    }

    [Fact]
    public async Task Spare_files_that_the_sweep_has_taken_are_made_anew()
    {
        var store = _storage.Documents();
        for (var i = 0; i < 3; i++)
        {
            await WriteAsync(store, Key, "x");
            await store.DeleteAsync(Key, WriteCondition.None, Durability.Atomic, default);
            Directory.EnumerateFiles(_storage.Root.Spare).ToList().ForEach(File.Delete);
        }

        await WriteAsync(store, Key, "y");
        (await TextAsync(store, Key)).ShouldBe("y");
    }

    private void Damage(int position)
    {
        using var file = File.OpenWrite(_storage.Root.Document(Key));
        file.Position = position;
        file.Write([0xAA, 0x55, 0xAA]);
    }

    private static ValueTask<string?> WriteAsync(IDocumentStore store, DocumentKey key, string text) =>
        store.WriteAsync(key, System.Text.Encoding.UTF8.GetBytes(text), WriteCondition.None, Durability.Atomic, default);

    private static async Task<string> TextAsync(IDocumentStore store, DocumentKey key) =>
        Text((await store.ReadAsync(key, default))!);

    private static string Text(Document document) => System.Text.Encoding.UTF8.GetString(document.Content.Span);
}
