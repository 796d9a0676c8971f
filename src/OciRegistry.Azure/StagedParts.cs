using System.Globalization;
using System.Text;

namespace OciRegistry.Azure;

/// <summary>
/// Where the bytes of a session are, in their order: runs of blocks that one writer has staged after the other, and behind
/// them, where blocks are scarce, what is too small for one. As text, <c>1:13:109051904 2.0+65536</c>: of generation 1 the
/// first 13 blocks, with so many bytes; of generation 2 the piece 0. One that a block has taken in, <c>2.0-65536</c>, is
/// remembered until the next request has begun: the last one may have to be repeated from before.
/// </summary>
internal sealed record StagedParts(IReadOnlyList<StagedRun> Runs)
{
    public static StagedParts Empty { get; } = new([]);

    public int Blocks => Runs.Sum(run => run.Blocks);

    public long Length => Runs.Where(run => !run.IsTaken).Sum(run => run.Bytes);

    public IEnumerable<StagedRun> Pieces => Runs.Where(run => run.IsPiece);

    /// <summary>Pieces that are needed no more.</summary>
    public IEnumerable<StagedRun> Taken => Runs.Where(run => run.IsTaken);

    /// <summary>The ids of all blocks, in order.</summary>
    public IEnumerable<string> BlockIds() =>
        Runs.SelectMany(run => Enumerable.Range(0, run.Blocks).Select(index => BlockId(run.Generation, index)));

    /// <summary>All of one length, as the storage wants them, and never the same for two writers.</summary>
    public static string BlockId(int generation, int index) => Convert.ToBase64String(Encoding.ASCII.GetBytes(
        string.Create(CultureInfo.InvariantCulture, $"{generation:x8}{index:x8}")));

    /// <summary>With one more block, which has taken the pieces in.</summary>
    public StagedParts WithBlock(int generation, long bytes)
    {
        StagedRun[] blocks = [.. Runs.Where(run => run.Blocks > 0)];
        var whole = bytes + Pieces.Sum(piece => piece.Bytes);
        blocks = blocks is [.. var before, var last] && last.Generation == generation
            ? [.. before, last with { Blocks = last.Blocks + 1, Bytes = last.Bytes + whole }]
            : [.. blocks, new StagedRun(generation, 1, whole)];
        return new([.. blocks, .. WithoutPieces().Taken]);
    }

    /// <summary>With all pieces taken in, by a block or by a larger piece.</summary>
    public StagedParts WithoutPieces() =>
        new([.. Runs.Select(run => run.IsPiece ? run with { IsTaken = true } : run)]);

    public StagedParts WithPiece(int generation, int piece, long bytes) =>
        new([.. Runs, new StagedRun(generation, 0, bytes, piece)]);

    /// <exception cref="FormatException">Another release, or nobody, has written it.</exception>
    public static StagedParts Parse(string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return Empty;
        }

        return new([.. text.Split(' ').Select(ParseRun)]);
    }

    public override string ToString() => string.Join(' ', Runs);

    private static StagedRun ParseRun(string text)
    {
        static T Number<T>(ReadOnlySpan<char> digits)
            where T : ISpanParsable<T> => T.Parse(digits, CultureInfo.InvariantCulture);

        return text.Split(':', '.', '+', '-') switch
        {
            [var generation, var blocks, var bytes] when text.Contains(':', StringComparison.Ordinal) =>
                new StagedRun(Number<int>(generation), Number<int>(blocks), Number<long>(bytes)),
            [var generation, var piece, var bytes] =>
                new StagedRun(
                    Number<int>(generation), 0, Number<long>(bytes), Number<int>(piece), text.Contains('-', StringComparison.Ordinal)),
            _ => throw new FormatException($"'{text}' names no staged bytes."),
        };
    }
}

/// <param name="Generation">Whose they are.</param>
/// <param name="Blocks">How many, from that generation's first; none for a piece.</param>
/// <param name="Bytes">In all.</param>
/// <param name="Piece">Which piece of that generation.</param>
/// <param name="IsTaken">It was a piece, and its bytes are in a block now.</param>
internal readonly record struct StagedRun(int Generation, int Blocks, long Bytes, int Piece = 0, bool IsTaken = false)
{
    public bool IsPiece => Blocks == 0 && !IsTaken;

    public override string ToString() => Blocks > 0
        ? string.Create(CultureInfo.InvariantCulture, $"{Generation}:{Blocks}:{Bytes}")
        : string.Create(CultureInfo.InvariantCulture, $"{Generation}.{Piece}{(IsTaken ? '-' : '+')}{Bytes}");
}
