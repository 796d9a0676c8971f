using System.Globalization;
using System.Text;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>What every document store must do; each backend derives from it.</summary>
public abstract class DocumentStoreContract
{
    private static readonly DocumentKey Key = new("folder", "name");

    private IDocumentStore? _store;

    private IDocumentStore Store => _store ??= OpenStore();

    /// <summary>Another store over the storage of this test, as another process would have.</summary>
    protected abstract IDocumentStore OpenStore();

    /// <summary>What is left of writing besides the documents.</summary>
    protected abstract IEnumerable<string> Leftovers();

    public static TheoryData<string> OddNames() =>
    [
        "plain", ".", "..", "...", "-", "_", "@", "a@", "@a", "a b", " ", "a/b", "/a", "a/", "a//b", "%", "%2F", "a%2fb",
        "a+b", "+", "a:b", "sha256:0123", "ümläut", "日本語", "🐙", "a\tb", "a\nb", "~", "*", "?", "\\", "\"", "con", "A", "a",
        new string('x', 200), new string('/', 200), string.Concat(Enumerable.Repeat("%+", 20)),
    ];

    [Fact]
    public async Task A_document_reads_back_as_it_was_written()
    {
        byte[][] contents = [[], [0], "{}"u8.ToArray(), "v1 \n\n"u8.ToArray(), RegistryClient.RandomBytes(300_000)];
        foreach (var content in contents)
        {
            var version = await Store.WriteAsync(Key, content, WriteCondition.None, Durability.Synced, default);
            var read = (await Store.ReadAsync(Key, default))!;
            read.Content.ToArray().ShouldBe(content);
            read.Version.ShouldBe(version);
        }
    }

    [Theory]
    [InlineData(Durability.Synced)]
    [InlineData(Durability.Atomic)]
    public async Task A_part_of_a_document_is_read_as_far_as_the_content_goes(Durability durability)
    {
        var buffer = new byte[100];
        (await Store.ReadPartAsync(Key, 0, buffer, default)).ShouldBe(0);
        foreach (var content in new[] { RegistryClient.RandomBytes(1_000), RegistryClient.RandomBytes(300_000) })
        {
            await Store.WriteAsync(Key, content, WriteCondition.None, durability, default);
            foreach (var (offset, length) in new[] { (0, 100), (50, 100), (content.Length - 40, 40), (content.Length, 0), (content.Length + 9, 0) })
            {
                (await Store.ReadPartAsync(Key, offset, buffer, default)).ShouldBe(length);
                buffer[..length].ShouldBe(content[Math.Min(offset, content.Length)..][..length]);
            }

            (await Store.ReadPartAsync(Key, 0, Memory<byte>.Empty, default)).ShouldBe(0);
        }

        (await Store.DeleteAsync(Key, WriteCondition.None, durability, default)).ShouldBeTrue();
        (await Store.ReadPartAsync(Key, 0, buffer, default)).ShouldBe(0);
    }

    [Fact]
    public async Task What_was_never_written_is_missing_everywhere()
    {
        (await Store.ReadAsync(Key, default)).ShouldBeNull();
        (await DeleteAsync(Key, WriteCondition.None)).ShouldBeFalse();
        (await WriteAsync(Key, "x", WriteCondition.Unchanged("0123"))).ShouldBeNull();
        (await Store.ListAsync(Key.Folder, null, 10, default)).ShouldBeEmpty();
        (await Store.AnyAsync(Key.Folder, default)).ShouldBeFalse();
        (await Store.ReadAsync(Key, default)).ShouldBeNull();
    }

    [Theory]
    [InlineData(Durability.Synced)]
    [InlineData(Durability.Atomic)]
    public async Task A_document_exists_from_its_first_write_to_its_delete(Durability durability)
    {
        (await Store.ExistsAsync(Key, default)).ShouldBeFalse();
        for (var round = 0; round < 2; round++)
        {
            await Store.WriteAsync(Key, "x"u8.ToArray(), WriteCondition.None, durability, default);
            (await OpenStore().ExistsAsync(Key, default)).ShouldBeTrue();
            (await Store.DeleteAsync(Key, WriteCondition.None, durability, default)).ShouldBeTrue();
            (await OpenStore().ExistsAsync(Key, default)).ShouldBeFalse();
        }
    }

    [Fact]
    public async Task A_write_that_must_be_the_first_is_refused_when_it_is_not()
    {
        (await WriteAsync(Key, "first", WriteCondition.Absent)).ShouldNotBeNull();
        (await WriteAsync(Key, "second", WriteCondition.Absent)).ShouldBeNull();
        (await TextAsync(Key)).ShouldBe("first");
        (await DeleteAsync(Key, WriteCondition.None)).ShouldBeTrue();
        (await WriteAsync(Key, "third", WriteCondition.Absent)).ShouldNotBeNull();
    }

    [Fact]
    public async Task A_write_to_a_version_that_is_no_more_is_refused()
    {
        var first = (await WriteAsync(Key, "first"))!;
        var second = (await WriteAsync(Key, "second", WriteCondition.Unchanged(first)))!;
        (await WriteAsync(Key, "third", WriteCondition.Unchanged(first))).ShouldBeNull();
        (await TextAsync(Key)).ShouldBe("second");
        (await WriteAsync(Key, "third", WriteCondition.Unchanged(second))).ShouldNotBeNull();
        (await TextAsync(Key)).ShouldBe("third");
    }

    [Fact]
    public async Task The_same_content_written_again_is_another_version()
    {
        // A B A: who read the first A must not take the second one for it.
        var versions = new HashSet<string>();
        for (var i = 0; i < 50; i++)
        {
            versions.Add((await WriteAsync(Key, "same"))!).ShouldBeTrue();
            if (i % 3 == 0)
            {
                await DeleteAsync(Key, WriteCondition.None);
            }
        }
    }

    [Fact]
    public async Task A_delete_of_a_version_that_is_no_more_is_refused()
    {
        var first = (await WriteAsync(Key, "first"))!;
        var second = (await WriteAsync(Key, "second"))!;
        (await DeleteAsync(Key, WriteCondition.Unchanged(first))).ShouldBeFalse();
        (await TextAsync(Key)).ShouldBe("second");
        (await DeleteAsync(Key, WriteCondition.Unchanged(second))).ShouldBeTrue();
        (await DeleteAsync(Key, WriteCondition.Unchanged(second))).ShouldBeFalse();
        (await Store.ReadAsync(Key, default)).ShouldBeNull();
    }

    [Fact]
    public async Task Keys_that_begin_alike_do_not_hide_each_other()
    {
        DocumentKey[] keys =
        [
            new("a", "a"), new("a", "a-b"), new("a", "a.b"), new("a", "a/b"), new("a", "a_b"), new("a", "b"), new("a", "ab"),
            new("a/a", "a"), new("a/a", "b"), new("a/a/b", "b"), new("a/b", "a"), new("a-b", "a"), new("a.b", "a"),
            new("a_b", "a"), new("ab", "a"),
        ];
        foreach (var key in keys.Concat(keys.Reverse()))
        {
            await WriteAsync(key, key.ToString() + key.Name);
        }

        foreach (var key in keys)
        {
            (await TextAsync(key)).ShouldBe(key.ToString() + key.Name);
        }

        foreach (var folder in keys.GroupBy(key => key.Folder, key => key.Name))
        {
            (await Store.ListAsync(folder.Key, null, 100, default)).ShouldBe(folder.Order(StringComparer.Ordinal));
        }

        foreach (var key in keys)
        {
            (await DeleteAsync(key, WriteCondition.None)).ShouldBeTrue(key.ToString());
            (await Store.ReadAsync(key, default)).ShouldBeNull();
        }
    }

    [Theory]
    [MemberData(nameof(OddNames))]
    public async Task A_name_may_be_any_text(string name)
    {
        await WriteAsync(new DocumentKey("folder/of", name), name);
        (await TextAsync(new DocumentKey("folder/of", name))).ShouldBe(name);
        (await OpenStore().ListAsync("folder/of", null, 10, default)).ShouldBe([name]);
        (await Store.AnyAsync("folder/of", default)).ShouldBeTrue();
        (await DeleteAsync(new DocumentKey("folder/of", name), WriteCondition.None)).ShouldBeTrue();
        (await Store.AnyAsync("folder/of", default)).ShouldBeFalse();
    }

    [Fact]
    public async Task All_odd_names_live_together_in_ordinal_order()
    {
        var names = OddNames().Select(row => row.Data).ToArray();
        foreach (var name in names)
        {
            await WriteAsync(new DocumentKey("folder", name), name);
        }

        (await Store.ListAsync("folder", null, 100, default)).ShouldBe(names.Order(StringComparer.Ordinal));
        foreach (var name in names)
        {
            (await TextAsync(new DocumentKey("folder", name))).ShouldBe(name);
        }
    }

    [Fact]
    public async Task Ten_thousand_entries_are_listed_page_by_page()
    {
        var names = Enumerable.Range(0, Counts.Of(ci: 3_000, full: 10_000))
            .Select(i => (i * 7919L % 1_000_003).ToString("x", CultureInfo.InvariantCulture)).ToArray();
        await Parallel.ForEachAsync(names, async (name, cancellation) => await Store.WriteAsync(
            new DocumentKey("many", name), default, WriteCondition.None, Durability.Atomic, cancellation));
        await WriteAsync(new DocumentKey("many/more", "below"), "not listed above");

        var listed = new List<string>();
        while (await Store.ListAsync("many", listed.LastOrDefault(), 999, default) is { Count: > 0 } page)
        {
            page.Count.ShouldBeLessThanOrEqualTo(999);
            listed.AddRange(page);
        }

        listed.ShouldBe(names.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(null, 10, "b,d,f")]
    [InlineData(null, 2, "b,d")]
    [InlineData("", 1, "b")]
    [InlineData("a", 10, "b,d,f")]
    [InlineData("b", 10, "d,f")]
    [InlineData("c", 1, "d")]
    [InlineData("e", 10, "f")]
    [InlineData("f", 10, "")]
    [InlineData("g", 10, "")]
    public async Task A_page_starts_strictly_after_a_name_that_need_not_exist(string? after, int limit, string expected)
    {
        foreach (var name in "fbd")
        {
            await WriteAsync(new DocumentKey("folder", name.ToString()), "x");
        }

        string.Join(',', await Store.ListAsync("folder", after, limit, default)).ShouldBe(expected);
    }

    [Fact]
    public async Task A_listing_shows_every_change_at_once()
    {
        var other = OpenStore();
        for (var i = 0; i < Counts.Of(ci: 200, full: 5_000); i++)
        {
            var name = i.ToString(CultureInfo.InvariantCulture);
            await WriteAsync(new DocumentKey("folder", name), "x");
            (await Store.ListAsync("folder", null, 10, default)).ShouldBe([name]);
            (await other.ListAsync("folder", null, 10, default)).ShouldBe([name]);
            await DeleteAsync(new DocumentKey("folder", name), WriteCondition.None);
            (await Store.ListAsync("folder", null, 10, default)).ShouldBeEmpty();
            (await other.ListAsync("folder", null, 10, default)).ShouldBeEmpty();
        }
    }

    [Fact]
    public async Task Increments_by_compare_and_swap_lose_none()
    {
        const int writers = 8;
        var increments = Counts.Of(ci: 25, full: 1_000);
        IDocumentStore[] stores = [Store, OpenStore()];
        await WriteAsync(Key, "0");
        await Task.WhenAll(Enumerable.Range(0, writers).Select(writer => Task.Run(async () =>
        {
            var store = stores[writer % stores.Length];
            for (var done = 0; done < increments;)
            {
                var read = (await store.ReadAsync(Key, default))!;
                var next = Encoding.UTF8.GetBytes($"{int.Parse(read.Content.Span, CultureInfo.InvariantCulture) + 1}");
                var condition = WriteCondition.Unchanged(read.Version);
                done += await store.WriteAsync(Key, next, condition, Durability.Atomic, default) is null ? 0 : 1;
            }
        })));

        (await TextAsync(Key)).ShouldBe($"{writers * increments}");
        Leftovers().ShouldBeEmpty();
    }

    [Fact]
    public async Task One_of_many_wins_the_creation_and_one_the_delete()
    {
        IDocumentStore[] stores = [Store, OpenStore()];
        for (var round = 0; round < Counts.Of(ci: 20, full: 1_000); round++)
        {
            var key = new DocumentKey("folder", $"{round}");
            var created = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
                await stores[i % 2].WriteAsync(key, new[] { (byte)i }, WriteCondition.Absent, Durability.Atomic, default))));
            var winner = Array.FindIndex(created, version => version is not null);
            created.Count(version => version is not null).ShouldBe(1);
            (await Store.ReadAsync(key, default))!.Content.ToArray().ShouldBe([(byte)winner]);

            var deleted = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
                await stores[i % 2].DeleteAsync(key, WriteCondition.Unchanged(created[winner]!), Durability.Atomic, default))));
            deleted.Count(gone => gone).ShouldBe(1);
        }
    }

    [Fact]
    public async Task Readers_see_one_write_or_another_and_never_nothing()
    {
        byte[][] contents = [.. Enumerable.Range(1, 2).Select(i => Enumerable.Repeat((byte)i, 20_000 * i).ToArray())];
        await Store.WriteAsync(Key, contents[0], WriteCondition.None, Durability.Atomic, default);
        using var stop = new CancellationTokenSource();
        var reader = Task.Run(async () =>
        {
            for (var reads = 1; ; reads++)
            {
                var content = (await Store.ReadAsync(Key, default))!.Content;
                contents.Any(known => content.Span.SequenceEqual(known)).ShouldBeTrue();
                if (stop.IsCancellationRequested)
                {
                    return reads;
                }
            }
        });

        for (var i = 0; i < Counts.Of(ci: 500, full: 20_000); i++)
        {
            await Store.WriteAsync(Key, contents[i % 2], WriteCondition.None, Durability.Atomic, default);
        }

        await stop.CancelAsync();
        (await reader).ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task A_cancelled_call_changes_nothing()
    {
        var version = (await WriteAsync(Key, "before"))!;
        var cancelled = new CancellationToken(canceled: true);
        await Should.ThrowAsync<OperationCanceledException>(async () => await Store.ReadAsync(Key, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Store.WriteAsync(
            Key, "after"u8.ToArray(), WriteCondition.None, Durability.Atomic, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Store.DeleteAsync(
            Key, WriteCondition.None, Durability.Atomic, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Store.ListAsync("folder", null, 1, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Store.AnyAsync("folder", cancelled));
        (await Store.ReadAsync(Key, default))!.Version.ShouldBe(version);
        Leftovers().ShouldBeEmpty();
    }

    [Fact]
    public async Task Nothing_is_left_of_writes_that_succeed_or_are_refused()
    {
        foreach (var durability in Enum.GetValues<Durability>())
        {
            await Store.WriteAsync(Key, "x"u8.ToArray(), WriteCondition.None, durability, default);
            (await Store.WriteAsync(Key, "y"u8.ToArray(), WriteCondition.Absent, durability, default)).ShouldBeNull();
            (await Store.DeleteAsync(Key, WriteCondition.None, durability, default)).ShouldBeTrue();
        }

        Leftovers().ShouldBeEmpty();
    }

    private ValueTask<string?> WriteAsync(DocumentKey key, string text, WriteCondition condition = default) =>
        Store.WriteAsync(key, Encoding.UTF8.GetBytes(text), condition, Durability.Atomic, default);

    private ValueTask<bool> DeleteAsync(DocumentKey key, WriteCondition condition) =>
        Store.DeleteAsync(key, condition, Durability.Atomic, default);

    private async Task<string> TextAsync(DocumentKey key) =>
        Encoding.UTF8.GetString((await Store.ReadAsync(key, default))!.Content.Span);
}
