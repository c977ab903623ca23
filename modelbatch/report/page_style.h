// How the page of report_page.h looks and what can be clicked in it: it needs
// nothing from elsewhere.
#ifndef MODELBATCH_REPORT_PAGE_STYLE_H_
#define MODELBATCH_REPORT_PAGE_STYLE_H_

#include <string>

namespace modelbatch {

// CSS: light or dark as the reader's system is, light in print. Gives the
// charts' colours, as gnuplot wrote them, those of the page.
std::string PageStyle();

// JavaScript. A table of the class "sortable" is sorted by the column whose
// header is clicked: by the cells' data-v as numbers where they have it, else
// by their text; what is empty or no number stays at the end. Whatever has the
// same data-model is lit up together.
const char* PageScript();

}  // namespace modelbatch

#endif  // MODELBATCH_REPORT_PAGE_STYLE_H_
