using System.Globalization;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>Times as arguments: how long, written as in the settings, or until when.</summary>
internal static class TimeArgument
{
    public const string Forms = "after a time, as 30.00:00:00 for days, or at a date, as 2027-01-31 or 2027-01-31T12:00:00Z";

    // What does not say its offset is UTC: what it says must not depend on the machine.
    private const DateTimeStyles Utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;

    private static readonly string[] Dates = ["yyyy-MM-dd", "yyyy-MM-ddTHH:mm", "yyyy-MM-ddTHH:mm:ss", "yyyy-MM-ddTHH:mm:ssK"];

    /// <exception cref="CommandException">It is no time.</exception>
    public static TimeSpan Span(string option, string text) => SettingValue.Problem(typeof(TimeSpan), text) is { } remedy
        ? throw CommandException.CalledWrongly($"{option} is '{text}'. {remedy}")
        : TimeSpan.ParseExact(text, "c", CultureInfo.InvariantCulture);

    /// <exception cref="CommandException">It is no time, or one that no calendar has.</exception>
    public static DateTimeOffset At(string option, string text, DateTimeOffset now)
    {
        if (DateTimeOffset.TryParseExact(text, Dates, CultureInfo.InvariantCulture, Utc, out var date))
        {
            return date;
        }

        var isSpan = SettingValue.Problem(typeof(TimeSpan), text) is null;
        return isSpan && Span(option, text) is var span && span <= DateTimeOffset.MaxValue - now && span >= DateTimeOffset.MinValue - now
            ? now + span
            : throw CommandException.CalledWrongly($"{option} is '{text}'. Say it {Forms}.");
    }
}
